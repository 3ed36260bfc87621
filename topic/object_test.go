package topic

import (
	"strings"
	"testing"
)

func TestObject_KeyAndBack(t *testing.T) {
	for want, o := range map[string]Object{
		"compacted/ab/000000000000002a-ab000000000000000000000000000000": {42, ObjectID{0xab}},
		"compacted/00/ffffffffffffffff-0000000000000000000000000000000f": {1<<64 - 1, ObjectID{15: 15}},
	} {
		got, err := ParseObjectKey(o.Key())
		if o.Key() != want || err != nil || got != o || o.IsZero() {
			t.Errorf("%s: %v, %v, want %s", o.Key(), got, err, want)
		}
	}
}

func TestParseObjectKey_TakesOnlyWhatKeyWrites(t *testing.T) {
	good := Object{42, ObjectID{0xab, 0xcd}}.Key()
	for _, key := range []string{"", "compacted/", good[1:], good + "0", good[:len(good)-1], strings.ToUpper(good),
		strings.Replace(good, "/ab/", "/ac/", 1), strings.Replace(good, "/ab/", "/", 1), strings.Replace(good, "-", "+", 1),
		"other/" + good, strings.Replace(good, "compacted/ab/0", "compacted/ab/+", 1)} {
		if o, err := ParseObjectKey(key); err == nil {
			t.Errorf("%q taken as %v", key, o)
		}
	}
}

func TestObject_ComparesAsItsKeysWithinAPrefix(t *testing.T) {
	a, b, c := Object{1, ObjectID{9}}, Object{2, ObjectID{1}}, Object{2, ObjectID{2}}
	if a.Compare(b) >= 0 || b.Compare(c) >= 0 || c.Compare(a) <= 0 || a.Compare(a) != 0 {
		t.Error("objects out of order")
	}
}

func TestRun_SizeDoesNotOverflow(t *testing.T) {
	if got := (Run{Length: 1<<32 - 1, Table: 1<<32 - 1}).Size(); got != 1<<33-2 {
		t.Errorf("size %d", got)
	}
}

func FuzzParseObjectKey(f *testing.F) {
	f.Add(Object{42, ObjectID{0xab}}.Key())
	f.Add("compacted//-")
	f.Fuzz(func(t *testing.T, key string) {
		if o, err := ParseObjectKey(key); err == nil && o.Key() != key {
			t.Errorf("%q taken as %s", key, o)
		}
	})
}
