package main

import (
	"fmt"
	"net/url"

	"github.com/spf13/cobra"
	"go.etcd.io/etcd/server/v3/embed"
)

// newEtcdCommand serves one etcd member on one client URL, the storage of a
// control plane that lives only as long as its lab.
func newEtcdCommand() *cobra.Command {
	cfg := embed.NewConfig()
	var client, peer string
	cmd := &cobra.Command{
		Use:           "etcd",
		Short:         "One etcd member",
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			clientURL, err := url.Parse(client)
			if err != nil {
				return fmt.Errorf("--listen-client-url: %w", err)
			}
			peerURL, err := url.Parse(peer)
			if err != nil {
				return fmt.Errorf("--listen-peer-url: %w", err)
			}
			cfg.ListenClientUrls, cfg.AdvertiseClientUrls = []url.URL{*clientURL}, []url.URL{*clientURL}
			cfg.ListenPeerUrls, cfg.AdvertisePeerUrls = []url.URL{*peerURL}, []url.URL{*peerURL}
			cfg.InitialCluster = cfg.InitialClusterFromName(cfg.Name)
			cfg.Logger = "zap"
			cfg.LogOutputs = []string{"stderr"}
			e, err := embed.StartEtcd(cfg)
			if err != nil {
				return err
			}
			defer e.Close()
			select {
			case <-cmd.Context().Done():
				return nil
			case err := <-e.Err():
				return err
			}
		},
	}
	f := cmd.Flags()
	f.StringVar(&cfg.Dir, "data-dir", "", "directory of the member's data")
	f.StringVar(&client, "listen-client-url", "http://127.0.0.1:2379", "URL served to clients")
	f.StringVar(&peer, "listen-peer-url", "http://127.0.0.1:2380", "URL served to other members")
	f.StringVar(&cfg.LogLevel, "log-level", "warn", "debug, info, warn or error")
	f.BoolVar(&cfg.UnsafeNoFsync, "unsafe-no-fsync", false, "do not wait for the disk; for throwaway clusters")
	return cmd
}
