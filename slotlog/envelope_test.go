package slotlog

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"regexp"
	"strconv"
	"testing"

	"github.com/odradek/odradek/objectstore"
)

// object gives the bytes that a store would hold.
func object(f Frozen) []byte { return bytes.Join(f.Body.Parts, nil) }

// golden is the object of payload "hello" with the nonce 00 01 ... 0f, as version 1 writes it.
const golden = "68656c6c6f" + // payload
	"4f4452534c4f5431" + "01" + "00000000000000" + "000102030405060708090a0b0c0d0e0f" +
	"0000000000000035" + "00000000" + "882656ad"

func goldenObject(t testing.TB) []byte {
	t.Helper()
	b, err := hex.DecodeString(golden)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestOpen_Golden(t *testing.T) {
	b := goldenObject(t)
	e, err := Open(b)
	if err != nil {
		t.Fatalf("%v (crc %08x)", err, crc32.Checksum(b[:len(b)-4], castagnoli))
	}
	if e.Kind != Data || string(e.Payload) != "hello" || e.Digest.Length != 53 || e.Digest.Nonce[15] != 15 {
		t.Fatalf("opened %+v", e)
	}
}

func TestFreeze_WritesTheGoldenObject(t *testing.T) {
	b := object(Freeze(Data, []byte("hel"), []byte("lo")))
	copy(b[5+16:], goldenObject(t)[5+16:5+32]) // the nonce is random
	binary.BigEndian.PutUint32(b[len(b)-4:], crc32.Checksum(b[:len(b)-4], castagnoli))
	if got := hex.EncodeToString(b); got != golden {
		t.Fatalf("frozen\n%s, want\n%s", got, golden)
	}
}

func TestFreeze_EveryBodyHasItsOwnNonce(t *testing.T) {
	a, b := Freeze(Data, []byte("x")), Freeze(Data, []byte("x"))
	if a.Digest.Nonce == b.Digest.Nonce {
		t.Fatal("two bodies with one nonce")
	}
}

func TestFreezeBody_TrustsTheChecksumAndIsCheckedByIt(t *testing.T) {
	f := FreezeBody(Data, objectstore.NewBody([]byte("some"), []byte("bytes")))
	if err := f.Body.Check(); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(object(f)); err != nil {
		t.Fatal(err)
	}
	wrong := objectstore.NewBody([]byte("bytes"))
	wrong.CRC32C++
	if err := FreezeBody(Data, wrong).Body.Check(); err == nil {
		t.Fatal("a wrong checksum passes the store's check")
	}
}

func TestOpen_EveryFlippedBitAndEveryCutIsSeen(t *testing.T) {
	b := object(Freeze(Seal, []byte("by a test")))
	for i := range b {
		for bit := range 8 {
			bad := bytes.Clone(b)
			bad[i] ^= 1 << bit
			if _, err := Open(bad); !errors.Is(err, ErrCorrupt) {
				t.Fatalf("bit %d of byte %d flipped: %v", bit, i, err)
			}
		}
		if _, err := Open(b[:i]); !errors.Is(err, ErrCorrupt) {
			t.Fatalf("cut to %d bytes: %v", i, err)
		}
		if _, err := Open(b[i:]); i > 0 && !errors.Is(err, ErrCorrupt) {
			t.Fatalf("first %d bytes lost: %v", i, err)
		}
	}
}

func FuzzOpen(f *testing.F) {
	f.Add(goldenObject(f))
	f.Add(object(Freeze(Seal)))
	f.Add([]byte(magic))
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := Open(b)
		if err != nil {
			if !errors.Is(err, ErrCorrupt) {
				t.Fatalf("error %v", err)
			}
			return
		}
		if len(e.Payload)+TrailerSize != len(b) || e.Digest.Length != int64(len(b)) {
			t.Fatalf("payload of %d in an object of %d, digest says %d", len(e.Payload), len(b), e.Digest.Length)
		}
	})
}

func TestFormatPage_IsWhatFreezeWrites(t *testing.T) {
	page, err := os.ReadFile("../docs/format/slot.md")
	if err != nil {
		t.Fatal(err)
	}
	frozen := Freeze(Data, []byte("hello"))
	b := object(frozen)
	trailer := b[len(b)-TrailerSize:]
	want := map[string][]byte{
		"magic":  []byte(magic),
		"kind":   {byte(Data)},
		"nonce":  frozen.Digest.Nonce[:],
		"length": binary.BigEndian.AppendUint64(nil, uint64(len(b))),
		"crc":    binary.BigEndian.AppendUint32(nil, frozen.Digest.CRC32C),
	}
	rows := regexp.MustCompile(`(?m)^\| (\d+) +\| (\d+) +\| (\w+) +\|`).FindAllStringSubmatch(string(page), -1)
	next := 0
	for _, row := range rows {
		offset, _ := strconv.Atoi(row[1])
		size, _ := strconv.Atoi(row[2])
		if offset != next || offset+size > TrailerSize {
			t.Fatalf("row %q begins at %d, the one before ends at %d", row[3], offset, next)
		}
		next += size
		bytesWanted := want[row[3]]
		if row[3] == "zero" {
			bytesWanted = make([]byte, size)
		}
		if !bytes.Equal(trailer[offset:next], bytesWanted) {
			t.Errorf("%s at %d: %x, want %x", row[3], offset, trailer[offset:next], bytesWanted)
		}
	}
	if next != TrailerSize || len(rows) != 7 {
		t.Fatalf("%d rows of %d bytes, a trailer has %d", len(rows), next, TrailerSize)
	}
	for _, key := range []string{"nonce", "length", "crc32c"} {
		if _, ok := frozen.Body.Meta["odradek-"+key]; !ok || !bytes.Contains(page, []byte("`odradek-"+key+"`")) {
			t.Errorf("metadata odradek-%s is not on the page or not in the body", key)
		}
	}
}

func TestKeys_ReadBack(t *testing.T) {
	var id [16]byte
	for i := range id {
		id[i] = byte(0xa0 + i)
	}
	if got, want := ControlKey(255), "control/00000000000000ff"; got != want {
		t.Errorf("control key %s, want %s", got, want)
	}
	if n, err := ParseControlKey(ControlKey(1 << 60)); n != 1<<60 || err != nil {
		t.Errorf("parsed %d, %v", n, err)
	}
	key := JournalKey(id, 7)
	if want := fmt.Sprintf("journal/a0/%x/0000000000000007", id); key != want {
		t.Errorf("journal key %s, want %s", key, want)
	}
	if j, s, err := ParseJournalKey(key); j != id || s != 7 || err != nil {
		t.Errorf("parsed %s %d, %v", j, s, err)
	}
	for _, bad := range []string{"", "control/", "control/1", "control/zzzzzzzzzzzzzzzz", "control/00000000000000FFF",
		"control/00000000000000FF", "00000000000000ff"} {
		if _, err := ParseControlKey(bad); err == nil {
			t.Errorf("control key %q passes", bad)
		}
	}
	for _, bad := range []string{"journal/a1/" + fmt.Sprintf("%x", id) + "/0000000000000007", "journal/a0/a0/0000000000000007", "x"} {
		if _, _, err := ParseJournalKey(bad); err == nil {
			t.Errorf("journal key %q passes", bad)
		}
	}
}
