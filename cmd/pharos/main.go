// Command pharos is the load balancer: every role and every tool in one binary.
package main

import (
	"os"

	"github.com/pharoslb/pharos/internal/cli"
)

func main() {
	cli.Init()
	os.Exit(cli.Main())
}
