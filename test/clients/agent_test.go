package clients

import (
	"testing"

	"github.com/odradek/odradek/test/harness"
)

// startAgent starts an agent whose groups form at once. Kafka's 3 s for a group's first members are waited for only
// where a test is about what people see, as with the examples.
func startAgent(t testing.TB, flags ...string) *harness.Agent {
	t.Helper()
	return harness.Start(t, harness.Options{Flags: append([]string{
		"--wal-size", "64MiB", "--set", "group.initial.rebalance.delay.ms=0",
	}, flags...)})
}
