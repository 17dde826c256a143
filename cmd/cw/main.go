// Command cw runs a cloud data warehouse on virtual machines over SSH.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"cw/commands"
)

func main() {
	if commands.MindsSignals(os.Args) {
		os.Exit(commands.Main(context.Background(), commands.SystemStreams(), os.Args))
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	signals := make(chan os.Signal, 2)
	for _, s := range []os.Signal{os.Interrupt, syscall.SIGTERM, syscall.SIGHUP} {
		if !signal.Ignored(s) { // as nohup and a shell's & have it: then it is not for this process
			signal.Notify(signals, s)
		}
	}
	go func() {
		s := <-signals
		fmt.Fprintf(os.Stderr, "\ncw: %s: stopping cleanly; once more stops at once\n", s)
		cancel(commands.ErrInterrupted)
		<-signals
		os.Exit(130)
	}()
	os.Exit(commands.Main(ctx, commands.SystemStreams(), os.Args))
}
