package compaction

import (
	"log/slog"
	"os"
	"testing"
)

// The tests make every call fail: what is logged then would drown what failed.
func TestMain(m *testing.M) {
	slog.SetDefault(slog.New(slog.DiscardHandler))
	os.Exit(m.Run())
}
