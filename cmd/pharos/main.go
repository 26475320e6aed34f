// Command pharos is the load balancer: every role and every tool in one binary.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/pharoslb/pharos/internal/cli"
)

func main() {
	cli.Init()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // whoever asks a second time does not want to wait
	if err := cli.New().ExecuteContext(ctx); err != nil {
		if text := err.Error(); text != "" { // empty: told already
			fmt.Fprintln(os.Stderr, "Error:", text)
		}
		os.Exit(cli.ExitCode(err))
	}
}
