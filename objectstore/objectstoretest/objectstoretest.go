package objectstoretest

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"time"

	"github.com/odradek/odradek/objectstore"
)

// Run checks the store that open returns. open is called once per subtest and must return an empty bucket, or an
// empty prefix of one; it registers its own cleanup.
func Run(t *testing.T, open func(t *testing.T) objectstore.Store) {
	tests := []struct {
		name string
		run  func(*testing.T, objectstore.Store)
	}{
		{"Create_ReadsBack", createReadsBack},
		{"Create_SecondFindsTheFirst", createSecondFindsTheFirst},
		{"Create_SixteenRacersOneWinner", createRace},
		{"Create_BigBodyInManyParts", createBigBody},
		{"Create_WrongChecksumIsRefused", createWrongChecksum},
		{"Create_EmptyBody", createEmptyBody},
		{"Create_PartsAreOnlyRead", createPartsAreOnlyRead},
		{"Create_AfterDelete", createAfterDelete},
		{"Get_Absent", getAbsent},
		{"GetRange_Inside", rangeInside},
		{"GetRange_Outside", rangeOutside},
		{"Head_SizeAndAge", headSizeAndAge},
		{"Date_IsThatOfWhatIsMadeNow", dateOfNow},
		{"List_OrderAndPrefix", listOrderAndPrefix},
		{"List_ManyPages", listManyPages},
		{"List_StopsWithTheCallersError", listStops},
		{"Delete_Idempotent", deleteIdempotent},
		{"Upload_ReadsBack", uploadReadsBack},
		{"Upload_FindsTheFirst", uploadFindsTheFirst},
		{"Upload_RacersOneWinner", uploadRace},
		{"Upload_Aborted", uploadAborted},
		{"Upload_WrongPartsAreRefused", uploadWrongParts},
		{"Upload_Refused", uploadRefused},
		{"Upload_Stale", uploadStale},
		{"Upload_Large", uploadLarge},
		{"Keys_Alphabet", keysAlphabet},
		{"Keys_Refused", keysRefused},
		{"Context_Cancelled", contextCancelled},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) { test.run(t, open(t)) })
	}
}

func createReadsBack(t *testing.T, s objectstore.Store) {
	body := objectstore.NewBody([]byte("hello, "), nil, []byte("world"))
	body.Meta = map[string]string{"odradek-nonce": "0123456789abcdef"}
	create(t, s, "journal/a7/0123/0000000000000000", body)
	wantObject(t, s, "journal/a7/0123/0000000000000000", []byte("hello, world"))
}

func createSecondFindsTheFirst(t *testing.T, s objectstore.Store) {
	create(t, s, "control/0", objectstore.NewBody([]byte("first")))
	for _, again := range []string{"first", "second"} {
		err := s.Create(t.Context(), "control/0", objectstore.NewBody([]byte(again)))
		if !errors.Is(err, objectstore.ErrExists) {
			t.Fatalf("create %q on a taken key: %v, want ErrExists", again, err)
		}
		wantObject(t, s, "control/0", []byte("first"))
	}
}

func createBigBody(t *testing.T, s objectstore.Store) {
	const parts, size = 300, 9 << 20
	whole := pattern(size)
	var slices [][]byte
	for i := range parts {
		slices = append(slices, whole[i*size/parts:(i+1)*size/parts])
	}
	create(t, s, "big", objectstore.NewBody(slices...))
	wantObject(t, s, "big", whole)
	got, err := s.GetRange(t.Context(), "big", 5<<20, 1<<20)
	if err != nil || !bytes.Equal(got, whole[5<<20:6<<20]) {
		t.Errorf("1 MiB from the middle: %d bytes, %v", len(got), err)
	}
}

func createWrongChecksum(t *testing.T, s objectstore.Store) {
	bytesAtFreeze := []byte("what was frozen")
	body := objectstore.NewBody(bytesAtFreeze)
	bytesAtFreeze[3] ^= 1
	err := s.Create(t.Context(), "changed", body)
	if err == nil || errors.Is(err, objectstore.ErrExists) {
		t.Fatalf("create of a body that changed since its checksum was taken: %v, want an error", err)
	}
	wantAbsent(t, s, "changed")
}

func createEmptyBody(t *testing.T, s objectstore.Store) {
	create(t, s, "empty", objectstore.NewBody())
	wantObject(t, s, "empty", nil)
	if got, err := s.GetRange(t.Context(), "empty", -64, 0); err != nil || len(got) != 0 {
		t.Errorf("last 64 bytes of an empty object: %q, %v", got, err)
	}
}

func createPartsAreOnlyRead(t *testing.T, s objectstore.Store) {
	part := []byte("owned by the caller")
	create(t, s, "kept", objectstore.NewBody(part))
	if string(part) != "owned by the caller" {
		t.Fatalf("create changed the caller's bytes to %q", part)
	}
	copy(part, "reused for the next")
	got := get(t, s, "kept")
	copy(got, "scribbled over by me")
	wantObject(t, s, "kept", []byte("owned by the caller"))
}

func createAfterDelete(t *testing.T, s objectstore.Store) {
	create(t, s, "probe/1", objectstore.NewBody([]byte("one")))
	remove(t, s, "probe/1")
	create(t, s, "probe/1", objectstore.NewBody([]byte("two")))
	wantObject(t, s, "probe/1", []byte("two"))
}

func getAbsent(t *testing.T, s objectstore.Store) {
	wantAbsent(t, s, "control/0000000000000001")
	create(t, s, "control/0000000000000000", objectstore.NewBody([]byte("x")))
	wantAbsent(t, s, "control/0000000000000001")
}

func headSizeAndAge(t *testing.T, s objectstore.Store) {
	create(t, s, "aged", objectstore.NewBody(pattern(12345)))
	info, err := s.Head(t.Context(), "aged")
	if err != nil {
		t.Fatal(err)
	}
	if info.Key != "aged" || info.Size != 12345 {
		t.Errorf("head: %+v, want key aged of 12345 bytes", info)
	}
	if age := time.Since(info.Modified).Abs(); age > time.Minute {
		t.Errorf("an object just created is %v old", age)
	}
}

func deleteIdempotent(t *testing.T, s objectstore.Store) {
	remove(t, s, "never/was")
	create(t, s, "was", objectstore.NewBody([]byte("x")))
	remove(t, s, "was")
	wantAbsent(t, s, "was")
	remove(t, s, "was")
}

func contextCancelled(t *testing.T, s objectstore.Store) {
	create(t, s, "there", objectstore.NewBody([]byte("x")))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	calls := map[string]func() error{
		"create": func() error { return s.Create(ctx, "new", objectstore.NewBody([]byte("x"))) },
		"get":    func() error { _, err := s.Get(ctx, "there"); return err },
		"range":  func() error { _, err := s.GetRange(ctx, "there", 0, 1); return err },
		"head":   func() error { _, err := s.Head(ctx, "there"); return err },
		"list":   func() error { return s.List(ctx, "", func(objectstore.Info) error { return nil }) },
		"delete": func() error { return s.Delete(ctx, "there") },
	}
	for name, call := range calls {
		if err := call(); !errors.Is(err, context.Canceled) {
			t.Errorf("%s with a cancelled context: %v, want context.Canceled", name, err)
		}
	}
	wantObject(t, s, "there", []byte("x"))
}
