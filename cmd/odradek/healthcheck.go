package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/odradek/odradek/agent/settings"
)

const (
	healthTime  = 3 * time.Second // for the whole question: less than what orchestrators give a check
	healthBytes = 16 << 10        // of the answer
)

// healthSettings are the agent's settings that say where it answers.
var healthSettings = []string{"config", "http"}

func healthcheckCommand(w world) *cobra.Command {
	var live bool
	cmd := &cobra.Command{
		Use:   "healthcheck",
		Short: "Ask an agent on this machine whether it is ready",
		Long: "Ask the HTTP side of an agent on this machine for /readyz, or with --live for /livez. Prints ok and ends with 0, or\n" +
			"prints why not and ends with 1. The address is the agent's own setting: --http, ODRADEK_HTTP or the file's http. A\n" +
			"container's health check runs it: --live where an agent that fails is killed, since one that waits for its bucket is\n" +
			"not ready and must not lose its write-ahead log for that.",
		Args: names(),
	}
	cmd.Flags().SortFlags = false
	cmd.Flags().BoolVar(&live, "live", false, "ask only whether it runs")
	all := pflag.NewFlagSet("healthcheck", pflag.ContinueOnError)
	settings.AddFlags(all)
	all.VisitAll(func(f *pflag.Flag) {
		if slices.Contains(healthSettings, f.Name) {
			cmd.Flags().AddFlag(f)
		}
	})
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		s, err := settings.Load(settings.Sources{Flags: cmd.Flags(), Environ: w.environ})
		if err != nil {
			return err
		}
		if s.Network.HTTP == settings.None {
			return usagef("healthcheck: the agent has no HTTP side (--http none)")
		}
		path := "/readyz"
		if live {
			path = "/livez"
		}
		if err := askHealth(cmd, "http://"+here(s.Network.HTTP)+path); err != nil {
			return err
		}
		_, err = fmt.Fprintln(cmd.OutOrStdout(), "ok")
		return err
	}
	return cmd
}

// askHealth gives nil for an answer 200, else what speaks against it, in one line.
func askHealth(cmd *cobra.Command, url string) error {
	client := http.Client{Timeout: healthTime, Transport: &http.Transport{DisableKeepAlives: true}} // no proxy: this machine
	request, err := http.NewRequestWithContext(cmd.Context(), http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	answer, err := client.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, healthBytes))
	if err != nil {
		return fmt.Errorf("%s: %w", url, err)
	}
	if answer.StatusCode != http.StatusOK {
		reasons := strings.Join(strings.FieldsFunc(string(text), func(r rune) bool { return r == '\n' }), "; ")
		return errors.New(url + ": " + answer.Status + ": " + reasons)
	}
	return nil
}

// here gives an address to connect to for one to listen on: where the host is every address, loopback is one of them.
func here(listen string) string {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return listen
	}
	switch addr, err := netip.ParseAddr(host); {
	case host == "" || err == nil && addr == netip.IPv4Unspecified():
		host = "127.0.0.1"
	case err == nil && addr == netip.IPv6Unspecified():
		host = "::1"
	}
	return net.JoinHostPort(host, port)
}
