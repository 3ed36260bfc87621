package offsetsrecord

import (
	"encoding/hex"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// golden are records with their bytes, spelled out after the schemas.
var golden = []struct {
	name       string
	record     Record
	key, value string
}{
	{
		name: "commit",
		record: Record{Commit: &Commit{Group: "g", Topic: "t", Partition: 3,
			Value: &Offset{Offset: 42, LeaderEpoch: 7, Metadata: "m", CommitMs: 1000, ExpireMs: None}}},
		key:   "0001" + "0001" + "67" + "0001" + "74" + "00000003",
		value: "0003" + "000000000000002a" + "00000007" + "0001" + "6d" + "00000000000003e8",
	},
	{
		name: "commit with a retention of its own",
		record: Record{Commit: &Commit{Group: "g", Topic: "t",
			Value: &Offset{Offset: 42, LeaderEpoch: None, CommitMs: 1000, ExpireMs: 2000}}},
		key:   "0001" + "0001" + "67" + "0001" + "74" + "00000000",
		value: "0001" + "000000000000002a" + "0000" + "00000000000003e8" + "00000000000007d0",
	},
	{
		name:   "commit deleted",
		record: Record{Commit: &Commit{Group: "g", Topic: "t", Partition: 3}},
		key:    "0001" + "0001" + "67" + "0001" + "74" + "00000003",
	},
	{
		name: "group",
		record: Record{Group: &GroupMetadata{Group: "g", Value: &Group{ProtocolType: "consumer", Protocol: "range", Generation: 2, Leader: "m", StateMs: 1000,
			Members: []Member{{ID: "m", InstanceID: "i", ClientID: "c", ClientHost: "/h", RebalanceTimeoutMs: 256, SessionTimeoutMs: 16,
				Subscription: []byte("s"), Assignment: []byte("a")}}}}},
		key: "0002" + "0001" + "67",
		value: "0003" + "0008" + "636f6e73756d6572" + "00000002" + "0005" + "72616e6765" + "0001" + "6d" + "00000000000003e8" +
			"00000001" + "0001" + "6d" + "0001" + "69" + "0001" + "63" + "0002" + "2f68" + "00000100" + "00000010" +
			"00000001" + "73" + "00000001" + "61",
	},
	{
		name:   "empty group",
		record: Record{Group: &GroupMetadata{Group: "g", Value: &Group{ProtocolType: "consumer", Generation: 3, StateMs: None}}},
		key:    "0002" + "0001" + "67",
		value:  "0003" + "0008" + "636f6e73756d6572" + "00000003" + "ffff" + "ffff" + "ffffffffffffffff" + "00000000",
	},
	{
		name:   "group deleted",
		record: Record{Group: &GroupMetadata{Group: "g"}},
		key:    "0002" + "0001" + "67",
	},
}

func TestEncode_IsKafkasFormat(t *testing.T) {
	for _, g := range golden {
		key, value := Encode(g.record)
		if hex.EncodeToString(key) != g.key || hex.EncodeToString(value) != g.value {
			t.Errorf("%s:\n key %x\nwant %s\n value %x\n  want %s", g.name, key, g.key, value, g.value)
		}
		if (value == nil) != (g.value == "") {
			t.Errorf("%s: value is %v, want nil for a deletion only", g.name, value)
		}
		back, err := Decode(key, value)
		if err != nil {
			t.Errorf("%s: %v", g.name, err)
		}
		if diff := cmp.Diff(g.record, back); diff != "" {
			t.Errorf("%s (-want +got):\n%s", g.name, diff)
		}
	}
}

func TestDecode_ReadsEveryVersion(t *testing.T) {
	for version := range int16(maxValueVersion + 1) {
		k := kmsg.OffsetCommitKey{Version: min(version, 1), Group: "g", Topic: "t", Partition: 1}
		v := kmsg.NewOffsetCommitValue()
		v.Version, v.Offset, v.LeaderEpoch, v.Metadata, v.CommitTimestamp, v.ExpireTimestamp = version, 5, 3, "m", 7, 9
		want := &Offset{Offset: 5, LeaderEpoch: None, Metadata: "m", CommitMs: 7, ExpireMs: None}
		if version >= 3 {
			want.LeaderEpoch = 3
		}
		if version == 1 {
			want.ExpireMs = 9
		}
		got, err := Decode(k.AppendTo(nil), v.AppendTo(nil))
		if err != nil || !cmp.Equal(got.Commit, &Commit{Group: "g", Topic: "t", Partition: 1, Value: want}) {
			t.Errorf("offset version %d: %v, %+v", version, err, got.Commit)
		}

		gk := kmsg.GroupMetadataKey{Version: groupKeyVersion, Group: "g"}
		gv := kmsg.NewGroupMetadataValue()
		gv.Version, gv.ProtocolType, gv.Generation, gv.CurrentStateTimestamp = version, "consumer", 4, 1
		m := kmsg.NewGroupMetadataValueMember()
		m.MemberID, m.SessionTimeoutMillis, m.RebalanceTimeoutMillis = "m", 10, 20
		gv.Members = append(gv.Members, m)
		read, err := Decode(gk.AppendTo(nil), gv.AppendTo(nil))
		if err != nil {
			t.Errorf("group version %d: %v", version, err)
			continue
		}
		rebalance := int32(20)
		if version < 1 {
			rebalance = 10
		}
		if x := read.Group.Value; x.Generation != 4 || len(x.Members) != 1 || x.Members[0].RebalanceTimeoutMs != rebalance {
			t.Errorf("group version %d: %+v", version, x)
		}
	}
}

func TestDecode_SaysWhatItCannotRead(t *testing.T) {
	for name, c := range map[string]struct {
		key, value []byte
		want       error
	}{
		"consumer group":       {[]byte{0, 3, 0, 1, 'g'}, []byte{0, 0}, ErrUnknownKey},
		"no key":               {nil, []byte{0, 0}, ErrCorrupt},
		"cut key":              {[]byte{0, 1, 0, 1}, []byte{0, 0}, ErrCorrupt},
		"cut group key":        {[]byte{0, 2, 0, 9, 'g'}, nil, ErrCorrupt},
		"empty value":          {[]byte{0, 2, 0, 1, 'g'}, []byte{}, ErrCorrupt},
		"value of the future":  {[]byte{0, 2, 0, 1, 'g'}, []byte{0, 5}, ErrCorrupt},
		"negative version":     {[]byte{0, 2, 0, 1, 'g'}, []byte{0xff, 0xff}, ErrCorrupt},
		"cut value":            {[]byte{0, 2, 0, 1, 'g'}, []byte{0, 3, 0, 9}, ErrCorrupt},
		"cut value of offsets": {[]byte{0, 1, 0, 1, 'g', 0, 1, 't', 0, 0, 0, 0}, []byte{0, 3, 0, 9}, ErrCorrupt},
	} {
		if _, err := Decode(c.key, c.value); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, g := range golden {
		key, value := Encode(g.record)
		f.Add(key, value)
	}
	f.Fuzz(func(t *testing.T, key, value []byte) {
		r, err := Decode(key, value)
		if err != nil {
			return
		}
		again, err := Decode(Encode(r))
		if err != nil {
			t.Fatalf("cannot read what was written: %v", err)
		}
		if diff := cmp.Diff(r, again, cmp.Comparer(func(a, b []byte) bool { return string(a) == string(b) })); diff != "" {
			t.Errorf("record changes when written again (-first +again):\n%s", diff)
		}
	})
}
