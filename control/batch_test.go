package control

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/odradek/odradek/topic"
)

var (
	journalA = topic.JournalID{0xa0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 0xa1}
	journalB = topic.JournalID{0xb0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 0xb1}
	topicT   = topic.ID{0x70, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 0x71}
	topicU   = topic.ID{0x80, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 0x81}

	checkpointC = CheckpointID{0xc0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 0xc1}
)

func sealedA() JournalSealed {
	return JournalSealed{Journal: journalA, SealSlot: 300, Trim: 64, Parts: []Reassigned{
		{topic.Partition{Topic: topicT, Index: 0}, 0, journalB, 1000},
		{topic.Partition{Topic: topicT, Index: 1}, 5, journalB, 0},
		{topic.Partition{Topic: topicU, Index: 7}, 2, topic.JournalID{0xc}, math.MaxInt64},
	}}
}

var objectO = topic.Object{Planned: 5000, ID: topic.ObjectID{0xd0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 0xd1}}

// manifestO has a partition that is compacted for the first time, one whose runs are joined, and one that is gone.
func manifestO() Manifest {
	older, old := topic.Object{Planned: 300, ID: topic.ObjectID{1}}, topic.Object{Planned: 4000, ID: topic.ObjectID{2}}
	return Manifest{Output: objectO, Size: 9 << 20, Parts: []ManifestPart{
		{Partition: topic.Partition{Topic: topicT}, From: 1000, To: 2500, Run: &topic.Run{Object: objectO, Base: 1200, Next: 2500, Level: 1,
			Position: 24, Length: 1 << 20, Table: 60, CRC32C: 0xdeadbeef, RawLength: 4 << 20, MaxTimestamp: 1_790_000_000_123}},
		{Partition: topic.Partition{Topic: topicT, Index: 1}, From: 0, To: 1 << 33, Replaces: []topic.Object{older, old},
			Run: &topic.Run{Object: objectO, Base: 0, Next: 1 << 33, Level: 2, Position: 1<<20 + 84, Length: 0, Table: 9, CRC32C: 1, MaxTimestamp: -1}},
		{Partition: topic.Partition{Topic: topicU, Index: 7}, From: 0, To: 300, Replaces: []topic.Object{old}},
	}}
}

// cleanedO has a run that was cleaned by key to its end, and one that was in part.
func cleanedO() Manifest {
	m := manifestO()
	for i, cleaned := range []topic.Offset{2500, 1 << 32} {
		m.Parts[i].Run.Level, m.Parts[i].Run.Cleaned = 2, cleaned
	}
	return m
}

// erasedO has a run of which records were erased, and one that was cleaned by key, too.
func erasedO() Manifest {
	m := manifestO()
	m.Parts[0].Run.Erased = 1300
	m.Parts[1].Run.Level, m.Parts[1].Run.Cleaned, m.Parts[1].Run.Erased = 2, 1<<32, 1
	return m
}

func snapshotS() Snapshot {
	return Snapshot{ID: PinID{0x50}, Name: "before-migration", Moment: Moment{Number: 5001, Base: BaseCheckpoint{5000, checkpointC},
		Journals: []JournalNext{{journalA, 301}, {journalB, 1 << 40}}}}
}

func forkedF() Forked {
	return Forked{ClusterID: "c2N4VGZkb1RTMjJGb3Jr", Fork: PinID{0xf0}, Moment: snapshotS().Moment,
		Ancestors: []Ancestor{{"prod", 400}, {"staging/green", 5001}},
		Journals:  []Inherited{{journalA, 1, 301}, {journalB, 0, 1 << 39}, {journalB, 1, 1 << 40}}}
}

// goldens has one batch for each version of each record type. A file once committed never changes.
var goldens = map[string][]Record{
	"genesis.v1":        {Genesis{ClusterID: "MkU3OEVBNTcwNTJENDM2Qg", Format: 1}},
	"feature.v1":        {Feature{Name: "group.version", From: 0, Level: 1}},
	"cluster_config.v1": {ClusterConfig{Version: 3, Set: topic.Config{"num.partitions": "8"}, Delete: []string{"message.max.bytes"}}},
	"topic_create.v1": {TopicCreate{ID: topicT, Name: "orders", Internal: true,
		Config:   topic.Config{"retention.ms": "-1", "cleanup.policy": "compact"},
		Journals: []topic.JournalID{journalA, journalB, journalA}}},
	"partitions_add.v1": {PartitionsAdd{Topic: topicT, From: 3, Journals: []topic.JournalID{journalB}}},
	"topic_delete.v1":   {TopicDelete{ID: topicT}},
	"topic_config.v1":   {TopicConfig{Topic: topicT, Version: 200, Set: topic.Config{"a": ""}, Delete: []string{"b", "c"}}},
	"journal_open.v1": {JournalOpen{ID: journalB, NodeID: 1, Endpoints: []Endpoint{{"kafka", "agent-1.example", 9092}, {"peer", "::1", 9094}},
		Zone: "eu-central-1a", Weight: 50, K: 16, Build: "v0.1.0 (0123abc)", Format: 1, Predecessors: []JournalSealed{sealedA()}}},
	"journal_sealed.v1": {sealedA()},
	"assign.v1": {Assign{Partition: topic.Partition{Topic: topicT, Index: 300}, OldEpoch: 1, ToJournal: journalB, Base: 1 << 40,
		Released: 1 << 33}},
	"drain.v1":        {Drain{Journal: journalB, On: true}, Drain{Journal: journalA}},
	"move.v1":         {Move{Partition: topic.Partition{Topic: topicU, Index: 400}, Epoch: 9, ToJournal: journalA}},
	"producer_ids.v1": {ProducerIDs{From: 5000, Count: 1000, Journal: journalA}},
	"era.v1":          {Era{Number: 2, RunID: "ab12", ReplicationID: "cd34", Checkpoint: 77}},
	"trim.v1":         {Trim{Journal: journalA, Slot: 4096}},
	"checkpoint.v1": {Checkpoint{Control: 5000, ID: checkpointC, Previous: 4500, Journals: []JournalNext{{journalA, 300}, {journalB, 1 << 40}}},
		Checkpoint{Control: 1, ID: CheckpointID{1}}},
	"manifest.v1":         {manifestO(), Manifest{Parts: []ManifestPart{{Partition: topic.Partition{Topic: topicT}, From: 5, To: 1 << 40, Replaces: []topic.Object{{ID: topic.ObjectID{1}}}}}}},
	"manifest_cleaned.v1": {cleanedO()},
	"manifest_erased.v1":  {erasedO()},
	"sweep.v1":            {Sweep{Before: 4000}},
	"verified.v1":         {Verified{Control: 5000, ID: checkpointC, By: journalB}},
	"snapshot.v1":         {snapshotS()},
	"fork.v1":             {Fork{ID: PinID{0xf0}, Place: "staging/blue", Snapshot: PinID{0x50}}},
	"unpin.v1": {Unpin{Pin: PinID{0x50}, Whole: true}, Unpin{Pin: PinID{0xf0}, Trims: []JournalNext{{journalA, 300}, {journalB, 1}},
		Objects: []topic.Object{{Planned: 7, ID: topic.ObjectID{1}}, {Planned: 9, ID: topic.ObjectID{2}}}}},
	"end.v1":    {End{}},
	"forked.v1": {forkedF()},
	"batch_of_three.v1": {Genesis{ClusterID: "c", Format: 1}, JournalOpen{ID: journalA, K: 4, Format: 1},
		TopicCreate{ID: topicT, Name: "t", Journals: []topic.JournalID{journalA}}},
}

// Golden files are text: what the records say, a line each after '#', then the bytes in hexadecimal.
func goldenText(records []Record, payload []byte) string {
	var b strings.Builder
	for _, r := range records {
		fmt.Fprintf(&b, "# %s\n", Describe(r))
	}
	for len(payload) > 0 {
		n := min(32, len(payload))
		fmt.Fprintf(&b, "%x\n", payload[:n])
		payload = payload[n:]
	}
	return b.String()
}

func readGolden(t testing.TB, file string) (text string, payload []byte) {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		part, err := hex.DecodeString(strings.TrimSpace(line))
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		payload = append(payload, part...)
	}
	return string(b), payload
}

func TestEncode_Golden(t *testing.T) {
	for name, records := range goldens {
		file := filepath.Join("testdata", name+".golden")
		payload, err := Encode(records)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if *update {
			if err := os.WriteFile(file, []byte(goldenText(records, payload)), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		text, golden := readGolden(t, file)
		if diff := cmp.Diff(text, goldenText(records, payload)); diff != "" {
			t.Errorf("%s (-golden +now):\n%s", name, diff)
		}
		read, err := Decode(golden)
		if diff := cmp.Diff(records, read); err != nil || diff != "" {
			t.Errorf("%s: %v (-want +read):\n%s", name, err, diff)
		}
	}
}

func TestEncode_EveryTypeHasAGoldenFile(t *testing.T) {
	written := map[Type]bool{}
	for _, records := range goldens {
		for _, r := range records {
			written[r.Type()] = true
		}
	}
	for typ, k := range kinds {
		if len(k.decode) > 0 && !written[typ] {
			t.Errorf("no golden file for %s", typ)
		}
	}
}

func TestEncode_RefusesWhatNobodyCouldRead(t *testing.T) {
	for _, records := range [][]Record{
		nil,
		{Assign{OldEpoch: -1}},
		{Assign{Base: -1}},
		{Move{Epoch: -1}},
		{JournalSealed{Parts: []Reassigned{{Base: -5}}}},
		{JournalOpen{NodeID: -1}},
		{ProducerIDs{From: -1}},
		{bentManifest(func(r *Manifest) { r.Parts[0].To = r.Parts[0].From })},
		{bentManifest(func(r *Manifest) { r.Parts[0].From = -1 })},
		{bentManifest(func(r *Manifest) { r.Parts[0].Run.Base = r.Parts[0].From - 1 })},
		{bentManifest(func(r *Manifest) { r.Parts[0].Run.Base = r.Parts[0].To })},
		{bentManifest(func(r *Manifest) { r.Parts[0].Run.Next++ })},
		{bentManifest(func(r *Manifest) { r.Parts[0].Run.Level = 0 })},
		{bentManifest(func(r *Manifest) { r.Parts[0].Run.Object.Planned++ })},
		{bentManifest(func(r *Manifest) { r.Parts[1].Run.Position-- })},
		{bentManifest(func(r *Manifest) { r.Size = 1<<20 + 92 })},
		{bentManifest(func(r *Manifest) { r.Output = topic.Object{} })},
		{Manifest{Output: objectO, Size: 24, Parts: manifestO().Parts[2:]}},
		{Manifest{Size: 24, Parts: manifestO().Parts[2:]}},
		{Genesis{ClusterID: strings.Repeat("x", maxString+1)}},
	} {
		if payload, err := Encode(records); err == nil {
			t.Errorf("%v encoded to %d bytes", records, len(payload))
		}
	}
}

func bentManifest(bend func(*Manifest)) Manifest {
	r := manifestO()
	bend(&r)
	return r
}

func TestDecode_EveryFlippedBitIsFound(t *testing.T) {
	_, golden := readGolden(t, "testdata/journal_open.v1.golden")
	for i := range len(golden) * 8 {
		bent := bytes.Clone(golden)
		bent[i/8] ^= 1 << (i % 8)
		if _, err := Decode(bent); !errors.Is(err, ErrCorrupt) {
			t.Fatalf("bit %d flipped: %v", i, err)
		}
	}
}

// resum gives a bent batch a right CRC again, so that what lies behind it is tested.
func resum(payload []byte) []byte {
	end := len(payload) - batchTrailer
	binary.BigEndian.PutUint32(payload[end:], crc32.Checksum(payload[:end], castagnoli))
	return payload
}

func TestDecode_EveryCutIsFound(t *testing.T) {
	for name := range goldens {
		_, golden := readGolden(t, filepath.Join("testdata", name+".golden"))
		for n := range golden {
			if _, err := Decode(golden[:n]); !errors.Is(err, ErrCorrupt) {
				t.Fatalf("%s cut to %d bytes: %v", name, n, err)
			}
			if n >= batchHeader+batchTrailer {
				if _, err := Decode(resum(bytes.Clone(golden[:n]))); !errors.Is(err, ErrCorrupt) {
					t.Fatalf("%s cut to %d bytes and summed again: %v", name, n, err)
				}
			}
		}
	}
}

func TestDecode_NewerBuildsRecordIsUnknown(t *testing.T) {
	_, golden := readGolden(t, "testdata/era.v1.golden")
	typeAt, versionAt := batchHeader, batchHeader+2
	for _, c := range []struct {
		at    int
		value uint16
		says  string
	}{
		{typeAt, 999, "TYPE_999"}, {typeAt, uint16(typeUser), "USER"}, {typeAt, 0, "TYPE_0"},
		{versionAt, 2, "version 2"}, {versionAt, 0, "version 0"},
	} {
		bent := bytes.Clone(golden)
		binary.BigEndian.PutUint16(bent[c.at:], c.value)
		if _, err := Decode(resum(bent)); !errors.Is(err, ErrUnknownRecord) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", c.says, err)
		}
	}
}

func TestDecode_LyingCountsAndLengths(t *testing.T) {
	huge := []byte{0xff, 0xff, 0xff, 0xff, 0x07}
	for name, body := range map[string][]byte{
		"config count":   append(make([]byte, 1), huge...), // CLUSTER_CONFIG
		"string length":  append([]byte{0, 1}, huge...),    // first name of a setting
		"names count":    append([]byte{0, 0}, huge...),    // deleted names
		"settings order": {0, 2, 1, 'b', 0, 1, 'a', 0, 0},  // b before a
		"settings twice": {0, 2, 1, 'a', 0, 1, 'a', 0, 0},  // a and a
		"endless number": {0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 1},
		"bytes behind":   {0, 0, 0, 0},
	} {
		b := binary.BigEndian.AppendUint32([]byte(batchMagic), 1)
		b = binary.BigEndian.AppendUint16(b, uint16(TypeClusterConfig))
		b = binary.BigEndian.AppendUint16(b, 1)
		b = binary.BigEndian.AppendUint32(b, uint32(len(body)))
		b = resum(append(append(b, body...), 0, 0, 0, 0))
		allocated := testing.AllocsPerRun(1, func() {
			if _, err := Decode(b); !errors.Is(err, ErrCorrupt) {
				t.Errorf("%s: %v", name, err)
			}
		})
		if allocated > 100 {
			t.Errorf("%s: %v allocations", name, allocated)
		}
	}
}

// FuzzDecode gives the body of one record, so that the CRC does not stand in the way, and the bytes as a batch.
func FuzzDecode(f *testing.F) {
	for name := range goldens {
		_, golden := readGolden(f, filepath.Join("testdata", name+".golden"))
		f.Add(golden)
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		if len(payload) >= batchHeader+batchTrailer {
			payload = resum(bytes.Clone(payload))
		}
		records, err := Decode(payload)
		if err != nil {
			if !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrUnknownRecord) {
				t.Fatalf("error without a name: %v", err)
			}
			return
		}
		again, err := Encode(records)
		if err != nil {
			t.Fatal(err)
		}
		reread, err := Decode(again)
		if diff := cmp.Diff(records, reread); err != nil || diff != "" {
			t.Fatalf("%v (-read +read again):\n%s", err, diff)
		}
		for _, r := range records {
			_ = Describe(r)
		}
		if s, _, err := New().Apply(0, records); err == nil {
			_, _, _ = s.Apply(1, records)
		}
	})
}
