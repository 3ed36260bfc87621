package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	_ "golang.org/x/crypto/x509roots/fallback" // root certificates where there is no /etc/ssl, as in the container image

	"github.com/odradek/odradek/agent/settings"
	"github.com/odradek/odradek/topic"
)

// Exit statuses.
const (
	exitOK    = 0
	exitError = 1 // it was tried and did not work
	exitUsage = 2 // it could not be tried: flags, settings
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	go func() { // a second signal ends the process at once
		<-ctx.Done()
		stop()
	}()
	os.Exit(run(ctx, world{
		args: os.Args[1:], environ: os.Environ(), in: os.Stdin, out: os.Stdout, err: os.Stderr,
	}))
}

// world is what a command knows of the process it runs in, so that tests can run it in theirs.
type world struct {
	args    []string
	environ []string
	in      io.Reader
	out     io.Writer
	err     io.Writer
}

// getenv gives the value of an environment variable, "" if it is not set.
func (w world) getenv(name string) string {
	for _, entry := range w.environ {
		if value, ok := strings.CutPrefix(entry, name+"="); ok {
			return value
		}
	}
	return ""
}

// run runs the command that the arguments name and gives the exit status. Errors are printed here and nowhere
// else, one line each.
func run(ctx context.Context, w world) int {
	root := newRoot(w)
	root.SetArgs(w.args)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitOK
	}
	for line := range strings.Lines(err.Error()) {
		fmt.Fprintln(w.err, "odradek: "+strings.TrimRight(line, "\n"))
	}
	var usage *usageError
	var problems settings.Problems
	if errors.As(err, &usage) || errors.As(err, &problems) {
		return exitUsage
	}
	return exitError
}

// newRoot builds the tree of commands.
func newRoot(w world) *cobra.Command {
	root := &cobra.Command{
		Use:           "odradek",
		Short:         "A Kafka-protocol broker whose records live in a bucket",
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          subcommand,
		RunE:          help,
	}
	root.SetIn(w.in)
	root.SetOut(w.out)
	root.SetErr(w.err)
	root.SetFlagErrorFunc(flagError)
	root.AddCommand(agentCommand(w), topicCommand(w), produceCommand(w), consumeCommand(w), groupCommand(w),
		clusterCommand(w), doctorCommand(w), debugCommand(w), compactCommand(w), verifyCommand(w), gcCommand(w), eraseCommand(w), inspectCommand(w), docsCommand(), versionCommand())
	root.AddCommand(snapshotCommand(w), forkCommand(w), healthcheckCommand(w))
	return root
}

// usageError is a command line that cannot be run.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

func usagef(format string, args ...any) error { return &usageError{fmt.Errorf(format, args...)} }

// names checks the number of arguments of a command that takes exactly these.
func names(wanted ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) < len(wanted):
			return usagef("%s: %s is missing", path(cmd), wanted[len(args)])
		case len(args) > len(wanted):
			return usagef("%s: unexpected argument %q", path(cmd), args[len(wanted)])
		}
		return nil
	}
}

// subcommand is the Args of a command that does nothing by itself.
func subcommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	var known []string
	for _, c := range cmd.Commands() {
		known = append(known, c.Name())
	}
	what := strings.TrimSpace(path(cmd) + " " + args[0])
	if near, ok := topic.Nearest(args[0], known); ok {
		return usagef("%s: unknown command; did you mean %s?", what, near)
	}
	return usagef("%s: unknown command", what)
}

// flagError words an error of the command line's flags; one that does not exist is told the nearest that does.
func flagError(cmd *cobra.Command, err error) error {
	var missing *pflag.NotExistError
	if !errors.As(err, &missing) || len(missing.GetSpecifiedShortnames()) > 0 {
		return &usageError{err}
	}
	var known []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) { known = append(known, f.Name) })
	name := missing.GetSpecifiedName()
	if near, ok := topic.Nearest(name, known); ok {
		return usagef("--%s: unknown flag; did you mean --%s?", name, near)
	}
	return usagef("--%s: unknown flag", name)
}

// path is the command's path below the root, `topic create`.
func path(cmd *cobra.Command) string {
	_, below, _ := strings.Cut(cmd.CommandPath(), " ")
	return below
}

func help(cmd *cobra.Command, _ []string) error { return cmd.Help() }
