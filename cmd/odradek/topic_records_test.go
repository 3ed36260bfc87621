package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestRecordsBefore_ReadsPartitionsAndOffsets(t *testing.T) {
	got, err := recordsBefore([]string{"0:1000", "3:end", "1:0"})
	if diff := cmp.Diff(map[int32]int64{0: 1000, 3: endOffset, 1: 0}, got); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	for arg, want := range map[string]string{
		"7": "is no PARTITION:OFFSET", "x:7": "is no PARTITION:OFFSET", "-1:7": "is no PARTITION:OFFSET", "1:-1": "is no PARTITION:OFFSET",
		"1:latest": "is no PARTITION:OFFSET", "1:": "is no PARTITION:OFFSET", "4294967296:1": "is no PARTITION:OFFSET", "2:4": "named twice",
	} {
		if _, err := recordsBefore([]string{"2:9", arg}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", arg, err, want)
		}
	}
}

func TestTopicDeleteRecords_AsksForPartitionsOrAll(t *testing.T) {
	for args, want := range map[string]string{
		"topic delete-records":             "NAME is missing",
		"topic delete-records t":           "name partitions and offsets",
		"topic delete-records t 0:1 --all": "name partitions and offsets",
		"topic delete-records t 0":         "0 is no PARTITION:OFFSET",
	} {
		if got := odradekIn(t, world{args: strings.Fields(args)}); got.status != exitUsage || !strings.Contains(got.err, want) {
			t.Errorf("%s: got %+v, want %q", args, got, want)
		}
	}
}
