package clients

import (
	"testing"

	"github.com/odradek/odradek/test/harness"
)

// startAgent starts an agent whose groups form at once and which spends a PUT more readily than money would have it.
// What people get by default is what the tests of the examples use.
func startAgent(t testing.TB, flags ...string) *harness.Agent {
	t.Helper()
	return harness.Start(t, harness.Options{Flags: append([]string{
		"--wal-size", "64MiB", "--flush-interval", "20ms", "--set", "group.initial.rebalance.delay.ms=0",
	}, flags...)})
}
