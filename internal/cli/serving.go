package cli

const (
	// servingPath is where a proxy's socket tells what the kernel holds.
	servingPath = "/v1/serving"

	// servingFollowers is how many may be told at a time: the speaker, and people.
	servingFollowers = 8
)
