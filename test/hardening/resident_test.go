package hardening

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/odradek/odradek/test/harness"
)

const mib = 1 << 20

// resident gives the memory of an agent's process in bytes, now and at its highest since it started or was reset.
func resident(t testing.TB, a *harness.Agent) (now, highest int64) {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", a.Pid()))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		if len(fields) != 3 {
			continue
		}
		kib, err := strconv.ParseInt(fields[1], 10, 64)
		if err != nil {
			continue
		}
		switch fields[0] {
		case "VmRSS:":
			now = kib << 10
		case "VmHWM:":
			highest = kib << 10
		}
	}
	return now, highest
}

// promised is the resident set that --memory allows: what it bounds, two fifths more for the collector, and the program.
// The race detector keeps a shadow of all of it.
func promised(memory int64) int64 {
	n := memory + memory*2/5 + 64*mib
	if os.Getenv("ODRADEK_TEST_RACE") == "1" {
		n *= 3
	}
	return n
}

// bounded fails the test if the agent ever held more than --memory promises.
func bounded(t testing.TB, a *harness.Agent, memory int64) {
	t.Helper()
	now, highest := resident(t, a)
	t.Logf("resident %d MiB, highest %d MiB, promised %d MiB; heap %0.f MiB in use", now/mib, highest/mib, promised(memory)/mib,
		a.Metric("go_memstats_heap_inuse_bytes")/mib)
	if highest > promised(memory) {
		t.Errorf("resident set reached %d MiB with --memory %d MiB, want at most %d MiB", highest/mib, memory/mib, promised(memory)/mib)
	}
}
