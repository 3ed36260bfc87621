package topic

import (
	"strings"
	"testing"
)

func TestValidateName(t *testing.T) {
	for name, good := range map[string]bool{
		"orders": true, "__consumer_offsets": true, "a.b-C_9": true, "...": true, strings.Repeat("x", 249): true,
		"": false, ".": false, "..": false, strings.Repeat("x", 250): false, "a b": false, "a/b": false, "ä": false,
		"a\x00": false, "a:b": false,
	} {
		if err := ValidateName(name); (err == nil) != good {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func TestFoldName_DotsAndUnderscoresCollide(t *testing.T) {
	if FoldName("a.b_c") != FoldName("a_b.c") || FoldName("a.b") == FoldName("a-b") || FoldName("A") == FoldName("a") {
		t.Error("names collide that should not, or the other way")
	}
}

func TestNearest(t *testing.T) {
	known := []string{"retention.ms", "retention.bytes", "segment.ms", "cleanup.policy"}
	for name, want := range map[string]string{
		"retention.msec": "retention.ms", "retension.ms": "retention.ms", "cleanup-policy": "cleanup.policy",
		"retention.byte": "retention.bytes", "zzz": "", "": "", strings.Repeat("retention.ms", 100): "",
	} {
		if got, ok := Nearest(name, known); got != want || ok != (want != "") {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
	}
}

func TestIDs_StringAndBack(t *testing.T) {
	id, journal := ID{1, 2, 255}, JournalID{3, 254}
	if got, err := ParseID(id.String()); err != nil || got != id {
		t.Errorf("topic id %s read as %s: %v", id, got, err)
	}
	if got, err := ParseJournalID(journal.String()); err != nil || got != journal {
		t.Errorf("journal id %s read as %s: %v", journal, got, err)
	}
	for _, bad := range []string{"", "x", strings.Repeat("=", 22), id.String() + "A"} {
		if _, err := ParseID(bad); err == nil {
			t.Errorf("topic id %q taken", bad)
		}
		if _, err := ParseJournalID(bad); err == nil {
			t.Errorf("journal id %q taken", bad)
		}
	}
}
