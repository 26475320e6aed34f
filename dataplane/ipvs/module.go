package ipvs

// Schedulers are the kernel's, by the names that ipvsadm(8) has for them. A kernel
// has those whose modules it has: ip_vs_rr is that of rr.
var Schedulers = []string{"rr", "wrr", "lc", "wlc", "lblc", "lblcr", "sh", "dh", "sed", "nq", "fo", "ovf", "mh", "twos"}

// Modules are the kernel's that the driver may need, for a kernel that loads none
// by itself.
var Modules = []string{
	"dummy", "ip_vs", "ip_vs_rr", "ip_vs_wrr", "ip_vs_sh", "ip_vs_mh", "nf_conntrack_netlink",
	"iptable_mangle", "iptable_filter", "iptable_nat", "ip6table_mangle", "ip6table_filter", "ip6table_nat",
	"xt_set", "xt_conntrack", "xt_connmark", "xt_comment", "xt_addrtype", "xt_MASQUERADE", "ipt_REJECT", "ip6t_REJECT",
	"ip_set_hash_ip", "ip_set_hash_net", "ip_set_hash_ipport", "ip_set_hash_ipportnet", "ip_set_hash_ipportip",
}
