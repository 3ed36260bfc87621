package project

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
)

// floors is the plan of the house, ground floor first. A package may import what stands in an earlier row, and nothing
// in its own row or a later one. A row beginning with a new number is a new floor.
var floors = []struct {
	floor    int
	packages string
}{
	{0, "topic"},
	{0, "recordbatch sequence control placement"},
	{0, "segment"},
	{0, "index"},
	{1, "trace"},
	{1, "objectstore metadata wal agent/place agent/settings"},
	{1, "objectstore/s3 objectstore/minio objectstore/local objectstore/memory objectstore/faulty objectstore/meter " +
		"metadata/redis metadata/embedded"},
	{1, "objectstore/bucket metadata/faulty"},
	{2, "slotlog checkpoint agent/cache agent/group/offsetsrecord"},
	{3, "agent/ingest agent/fetch agent/group agent/cluster agent/copies agent/verify agent/retention compaction"},
	{4, "agent/api"},
	{5, "agent/wire agent/ops agent/otlp agent/chaos"},
	{6, "agent"},
	{7, "cmd/odradek"},
}

// suites are the conformance suites: they stand beside what they specify and are imported by tests only.
var suites = []string{"objectstore/objectstoretest", "metadata/metadatatest", "agent/api/apitest", "compaction/keystest"}

// place is where a package stands: floor, and row of the table.
type place struct{ floor, row int }

// house gives every package of the table its place.
func house() map[string]place {
	places := make(map[string]place)
	for row, f := range floors {
		for p := range strings.FieldsSeq(f.packages) {
			places[p] = place{f.floor, row}
		}
	}
	return places
}

func inTests(p string) bool { return strings.HasPrefix(p, "test/") || slices.Contains(suites, p) }

// wrongImport says what is wrong with a package that imports another of this module, or nothing.
func wrongImport(places map[string]place, from, to string) string {
	switch {
	case inTests(from):
		return ""
	case inTests(to):
		return fmt.Sprintf("%s imports %s, which only tests may see", from, to)
	}
	a, ok := places[from]
	if !ok {
		return fmt.Sprintf("%s stands on no floor; give it a row in the table of floors_test.go", from)
	}
	b, ok := places[to]
	if !ok {
		return fmt.Sprintf("%s stands on no floor; give it a row in the table of floors_test.go", to)
	}
	if b.row < a.row {
		return ""
	}
	way := "upward"
	if a.floor == b.floor {
		way = "sideways"
	}
	return fmt.Sprintf("%s (floor %d) imports %s (floor %d): %s; declare a small interface in %s and join them in agent",
		from, a.floor, to, b.floor, way, from)
}

// homes says where the types of a library may be seen.
var homes = []struct {
	library string
	only    func(p string) bool
	where   string
}{
	{"github.com/redis/go-redis", func(p string) bool { return p == "metadata/redis" }, "metadata/redis"},
	{"github.com/minio/minio-go", func(p string) bool { return p == "objectstore/minio" }, "objectstore/minio"},
	{"github.com/aws/", func(p string) bool { return p == "objectstore/s3" }, "objectstore/s3"},
	{"github.com/twmb/franz-go", func(p string) bool {
		// Kafka's own record format of __consumer_offsets is the one thing below floor 4 that kmsg encodes.
		return house()[p].floor >= 4 || p == "agent/group/offsetsrecord"
	}, "floor 4 and above"},
	{"go.opentelemetry.io/", func(p string) bool { return p == "agent/otlp" }, "agent/otlp"},
	{"github.com/prometheus/", func(p string) bool { return house()[p].floor >= 1 }, "floor 1 and above"},
}

// wrongLibrary says what is wrong with a package that imports a foreign one, or nothing.
func wrongLibrary(from, library string) string {
	if inTests(from) {
		return ""
	}
	for _, h := range homes {
		if strings.HasPrefix(library, h.library) && !h.only(from) {
			return fmt.Sprintf("%s imports %s, whose types stay in %s", from, library, h.where)
		}
	}
	if house()[from].floor == 0 {
		for _, io := range []string{"os", "net", "net/http", "log/slog", "syscall", "context", "golang.org/x/sys"} {
			if library == io || strings.HasPrefix(library, io+"/") {
				return fmt.Sprintf("%s (floor 0) imports %s: the ground floor does no I/O", from, library)
			}
		}
	}
	return ""
}

func TestFloors_ImportsGoDownOnly(t *testing.T) {
	places := house()
	seen := 0
	packages := goFiles(t)
	for _, p := range slices.Sorted(maps.Keys(packages)) {
		for _, file := range packages[p] {
			if isTest(file) {
				continue
			}
			for _, imported := range importsOf(t, file) {
				wrong := wrongLibrary(p, imported)
				if own, ok := strings.CutPrefix(imported, module+"/"); ok {
					wrong = wrongImport(places, p, own)
					seen++
				}
				if wrong != "" {
					t.Errorf("%s: %s", file, wrong)
				}
			}
		}
	}
	if seen < 50 {
		t.Errorf("only %d imports inside the module were seen", seen)
	}
}

func TestFloors_GroundFloorReadsNoClockAndStartsNothing(t *testing.T) {
	places := house()
	for p, files := range goFiles(t) {
		if at, ok := places[p]; !ok || at.floor != 0 {
			continue
		}
		for _, file := range files {
			if isTest(file) {
				continue
			}
			for i, line := range strings.Split(read(t, file), "\n") {
				code, _, _ := strings.Cut(line, "//")
				for _, word := range []string{"time.Now(", "time.Since(", "go func", "os.Exit"} {
					if strings.Contains(code, word) {
						t.Errorf("%s:%d: %s on the ground floor", file, i+1, word)
					}
				}
			}
		}
	}
}

func TestFloors_TableNamesEveryPackageAndNoOther(t *testing.T) {
	packages := goFiles(t)
	for p := range house() {
		if len(packages[p]) == 0 {
			t.Errorf("the table of floors names %s, which is no package", p)
		}
	}
	for p := range packages {
		if _, ok := house()[p]; !ok && !inTests(p) {
			t.Errorf("%s stands on no floor; give it a row in the table of floors_test.go", p)
		}
	}
}

func TestFloors_WrongImportsAreNamed(t *testing.T) {
	for _, test := range []struct{ from, to, want string }{
		{"agent/ingest", "agent/fetch", "agent/ingest (floor 3) imports agent/fetch (floor 3): sideways"},
		{"topic", "segment", "topic (floor 0) imports segment (floor 0): sideways"},
		{"wal", "agent/ingest", "wal (floor 1) imports agent/ingest (floor 3): upward"},
		{"agent", "test/servers", "agent imports test/servers, which only tests may see"},
		{"agent/api", "nowhere", "nowhere stands on no floor"},
		{"agent/api", "agent/ingest", ""},
		{"test/harness", "agent", ""},
	} {
		got := wrongImport(house(), test.from, test.to)
		if !strings.HasPrefix(got, test.want) || test.want == "" && got != "" {
			t.Errorf("%s -> %s: got %q, want %q", test.from, test.to, got, test.want)
		}
	}
	for _, test := range []struct{ from, library, want string }{
		{"agent/fetch", "github.com/twmb/franz-go/pkg/kmsg", "agent/fetch imports github.com/twmb/franz-go/pkg/kmsg"},
		{"agent/cluster", "github.com/redis/go-redis/v9", "agent/cluster imports github.com/redis/go-redis/v9"},
		{"segment", "net/http", "segment (floor 0) imports net/http"},
		{"agent/api", "github.com/twmb/franz-go/pkg/kmsg", ""},
	} {
		got := wrongLibrary(test.from, test.library)
		if !strings.HasPrefix(got, test.want) || test.want == "" && got != "" {
			t.Errorf("%s -> %s: got %q, want %q", test.from, test.library, got, test.want)
		}
	}
}
