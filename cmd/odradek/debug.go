package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/odradek/odradek/agent/ops"
	"github.com/odradek/odradek/agent/settings"
	"github.com/odradek/odradek/agent/verify"
	"github.com/odradek/odradek/control"
	"github.com/odradek/odradek/objectstore/bucket"
)

const (
	bundleTime  = 30 * time.Second // for each part
	controlTail = 200              // control records that go into a bundle
	maxBundled  = 64 << 20         // bytes of one part
)

func debugCommand(w world) *cobra.Command {
	cmd := &cobra.Command{Use: "debug", Short: "Collect what helps to find out what is wrong", Args: subcommand, RunE: help}
	cmd.AddCommand(debugBundle(w))
	return cmd
}

func debugBundle(w world) *cobra.Command {
	var out string
	cmd := &cobra.Command{
		Use:   "bundle",
		Short: "Write what an agent on this machine knows of itself into an archive",
		Long: "Write an archive with an agent's settings, with secrets masked, its version, goroutines, metrics, newest warnings and errors,\n" +
			"and the end of the control log. The agent is the one of --data-dir, on this machine; it is asked over a socket there. Takes\n" +
			"the settings of `odradek agent`. What could not be had is told in problems.txt. It holds no records and no credentials,\n" +
			"but names of topics, groups, hosts and buckets: look at it before you give it away.",
		Args:               cobra.ArbitraryArgs,
		FParseErrWhitelist: cobra.FParseErrWhitelist{UnknownFlagsHandling: pflag.PassUnknownFlagToArgs},
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		unknown, err := unknownFlags(args)
		if err != nil {
			return err
		}
		s, err := settings.Load(settings.Sources{Flags: cmd.Flags(), Unknown: unknown, Environ: w.environ})
		if err != nil {
			return err
		}
		if out == "" {
			out = "odradek-debug-" + time.Now().UTC().Format("20060102T150405Z") + ".tar.gz"
		}
		b := collect(cmd.Context(), s)
		if err := b.writeFile(out); err != nil {
			return err
		}
		for _, p := range b.problems {
			fmt.Fprintln(cmd.OutOrStdout(), "note: "+p)
		}
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s: %s\n", out, count(int64(len(b.parts)), "file"))
		return err
	}
	cmd.Flags().SortFlags = false
	cmd.Flags().StringVar(&out, "out", "", "`FILE` to write (default odradek-debug-TIME.tar.gz here)")
	settings.AddFlags(cmd.Flags())
	return cmd
}

// bundle is what was collected.
type bundle struct {
	parts    []bundled
	problems []string
}

type bundled struct {
	name string
	data []byte
}

func (b *bundle) add(name string, data []byte, err error) {
	if err != nil {
		b.problems = append(b.problems, fmt.Sprintf("%s: %v", name, oneLine(err)))
	}
	if len(data) > 0 || err == nil {
		b.parts = append(b.parts, bundled{name, data})
	}
}

// collect asks the agent, and reads the control log.
func collect(ctx context.Context, s settings.Settings) *bundle {
	b := new(bundle)
	b.add("command.txt", fmt.Appendf(nil, "odradek %s%s %s %s/%s\n%s\n\n%s", version, revision(), runtime.Version(), runtime.GOOS, runtime.GOARCH,
		time.Now().UTC().Format(time.RFC3339), s.Lines()), nil)
	socket := filepath.Join(s.DataDir, ops.Socket)
	client := http.Client{Timeout: bundleTime, Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}}}
	defer client.CloseIdleConnections()
	for _, part := range []struct{ name, path string }{
		{"version.txt", "/version"}, {"settings.txt", "/settings"}, {"ready.txt", "/readyz"}, {"errors.txt", "/errors"},
		{"goroutines.txt", "/goroutines"}, {"metrics.txt", "/metrics"},
	} {
		data, err := askSocket(ctx, &client, part.path)
		b.add(part.name, data, err)
	}
	text, err := controlEnd(ctx, s)
	b.add("control.txt", text, err)
	if len(b.problems) > 0 {
		b.add("problems.txt", []byte(strings.Join(b.problems, "\n")+"\n"), nil)
	}
	return b
}

func askSocket(ctx context.Context, client *http.Client, path string) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://agent"+path, nil)
	if err != nil {
		return nil, err
	}
	answer, err := client.Do(r)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	return io.ReadAll(io.LimitReader(answer.Body, maxBundled))
}

// controlEnd prints the newest control records.
func controlEnd(ctx context.Context, s settings.Settings) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, bundleTime)
	defer cancel()
	store, _, err := bucket.OpenToRead(ctx, s.Stores.Bucket)
	if err != nil {
		return nil, err
	}
	var lines []controlLine
	err = verify.EachControl(ctx, store, control.New(), reads, func(n verify.Number) error {
		for k, r := range n.Records {
			lines = append(lines, controlLine{uint64(n.N), r.Type().String(), control.Describe(r), n.Outcomes[k].Void, n.Outcomes[k].Why})
		}
		if len(lines) > 2*controlTail {
			lines = append(lines[:0], lines[len(lines)-controlTail:]...)
		}
		return nil
	})
	var text bytes.Buffer
	for _, l := range lines[max(0, len(lines)-controlTail):] {
		fmt.Fprintln(&text, l)
	}
	return text.Bytes(), err
}

// writeFile writes the archive. What it tells is for its owner to read.
func (b *bundle) writeFile(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	if err := b.write(f); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}

func (b *bundle) write(to io.Writer) error {
	zipped := gzip.NewWriter(to)
	archive := tar.NewWriter(zipped)
	for _, p := range b.parts {
		header := &tar.Header{Name: "odradek-debug/" + p.name, Mode: 0o600, Size: int64(len(p.data)), ModTime: time.Now()}
		if err := archive.WriteHeader(header); err != nil {
			return err
		}
		if _, err := archive.Write(p.data); err != nil {
			return err
		}
	}
	if err := archive.Close(); err != nil {
		return err
	}
	return zipped.Close()
}
