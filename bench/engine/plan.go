package main

// plan lists the groups in the order of the published table.
func plan() []*group {
	return []*group{
		originate(10_000, "≤ 10", "–"),
		originate(100_000, "≤ 60", "≤ 40"),
		addOne(),
		receiveTable(100_000),
		receiveKernel(100_000),
		loseOne(10_000),
		killed(10_000),
		frozen(100),
		cut(1),
	}
}
