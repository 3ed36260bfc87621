package objectstoretest

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/odradek/odradek/objectstore"
)

func uploadReadsBack(t *testing.T, s objectstore.Store) {
	const key = "compacted/ab/0000000000000007-00ff"
	whole := pattern(2*objectstore.MinPart + 5)
	u := begin(t, s, key)
	appendPart(t, u, whole[:objectstore.MinPart/2], whole[objectstore.MinPart/2:objectstore.MinPart])
	appendPart(t, u, whole[objectstore.MinPart:2*objectstore.MinPart])
	wantAbsent(t, s, key)
	if got := list(t, s, ""); len(got) != 0 {
		t.Errorf("an upload that is not completed is listed as %q", got)
	}
	appendPart(t, u, whole[2*objectstore.MinPart:])
	complete(t, u)
	if !bytes.Equal(get(t, s, key), whole) {
		t.Error("the object differs from its parts")
	}
	got, err := s.GetRange(t.Context(), key, objectstore.MinPart-3, 10)
	if err != nil || !bytes.Equal(got, whole[objectstore.MinPart-3:objectstore.MinPart+7]) {
		t.Errorf("range across two parts: %x, %v", got, err)
	}
	info, err := s.Head(t.Context(), key)
	if err != nil || info.Size != int64(len(whole)) || time.Since(info.Modified).Abs() > time.Minute {
		t.Errorf("head: %+v, %v; want %d bytes, new", info, err, len(whole))
	}
	if got := list(t, s, ""); !slices.Equal(got, []string{key}) {
		t.Errorf("listed %q, want the object", got)
	}
	complete(t, u) // again
	if err := u.Abort(t.Context()); err != nil {
		t.Errorf("abort of an upload that is through: %v", err)
	}
	wantRange(t, s, key, whole[:10])
}

// uploadFindsTheFirst completes where an object is: it must stay, however it was made.
func uploadFindsTheFirst(t *testing.T, s objectstore.Store) {
	late, first := begin(t, s, "k/uploaded"), begin(t, s, "k/uploaded")
	appendPart(t, late, []byte("second"))
	appendPart(t, first, []byte("first"))
	complete(t, first)
	put := begin(t, s, "k/put")
	appendPart(t, put, []byte("second"))
	create(t, s, "k/put", objectstore.NewBody([]byte("first")))
	for key, u := range map[string]objectstore.Upload{"k/uploaded": late, "k/put": put} {
		for range 2 {
			if err := u.Complete(t.Context()); !errors.Is(err, objectstore.ErrExists) {
				t.Errorf("complete of %s, which exists: %v, want ErrExists", key, err)
			}
		}
		wantObject(t, s, key, []byte("first"))
		if err := u.Abort(t.Context()); err != nil {
			t.Error(err)
		}
		wantObject(t, s, key, []byte("first"))
	}
	if err := s.Create(t.Context(), "k/uploaded", objectstore.NewBody([]byte("third"))); !errors.Is(err, objectstore.ErrExists) {
		t.Errorf("create of a key that was uploaded: %v, want ErrExists", err)
	}
}

// uploadRace lets uploads of a key, and one Create, end at once.
func uploadRace(t *testing.T, s objectstore.Store) {
	const key, racers = "race/uploads", 8
	calls := make([]func() error, racers)
	for i := range racers {
		body := []byte("racer 0" + string(rune('0'+i)))
		if i == 0 {
			calls[i] = func() error { return s.Create(t.Context(), key, objectstore.NewBody(body)) }
			continue
		}
		u := begin(t, s, key)
		appendPart(t, u, body)
		calls[i] = func() error { return u.Complete(t.Context()) }
	}
	errs := make([]error, racers)
	var start, done sync.WaitGroup
	start.Add(1)
	for i := range racers {
		done.Go(func() {
			start.Wait()
			errs[i] = calls[i]()
		})
	}
	start.Done()
	done.Wait()
	wantOneWinner(t, s, key, errs)
}

func uploadAborted(t *testing.T, s objectstore.Store) {
	u := begin(t, s, "k")
	appendPart(t, u, pattern(objectstore.MinPart))
	if err := u.Abort(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := u.Append(t.Context(), objectstore.NewBody([]byte("x"))); !errors.Is(err, objectstore.ErrUploadGone) {
		t.Errorf("append to an upload that was aborted: %v, want ErrUploadGone", err)
	}
	if err := u.Complete(t.Context()); !errors.Is(err, objectstore.ErrUploadGone) {
		t.Errorf("complete of an upload that was aborted: %v, want ErrUploadGone", err)
	}
	if err := u.Abort(t.Context()); err != nil {
		t.Errorf("abort again: %v", err)
	}
	wantAbsent(t, s, "k")
	again := begin(t, s, "k")
	appendPart(t, again, []byte("again"))
	complete(t, again)
	wantObject(t, s, "k", []byte("again"))
}

func uploadWrongParts(t *testing.T, s objectstore.Store) {
	u := begin(t, s, "k")
	if err := u.Complete(t.Context()); err == nil || errors.Is(err, objectstore.ErrExists) {
		t.Errorf("complete without a part: %v, want an error", err)
	}
	changed := pattern(objectstore.MinPart)
	body := objectstore.NewBody(changed)
	changed[3] ^= 1
	if err := u.Append(t.Context(), body); err == nil {
		t.Error("a part that changed since its checksum was taken was accepted")
	}
	if err := u.Append(t.Context(), objectstore.NewBody()); err == nil {
		t.Error("an empty part was accepted")
	}
	changed[3] ^= 1
	if err := u.Append(t.Context(), body); err != nil {
		t.Fatalf("the part as it was: %v", err)
	}
	appendPart(t, u, []byte("short"))
	if err := u.Append(t.Context(), objectstore.NewBody([]byte("behind"))); err == nil {
		t.Error("a part behind a short one was accepted")
	}
	complete(t, u)
	if want := append(changed, "short"...); !bytes.Equal(get(t, s, "k"), want) {
		t.Error("the object differs from the parts that were accepted")
	}
}

func uploadRefused(t *testing.T, s objectstore.Store) {
	uploader, err := objectstore.Uploads(s)
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"", "a//b", ".odradek.tmp/x", "A"} {
		if _, err := uploader.Upload(t.Context(), key); err == nil {
			t.Errorf("upload of %q was begun", key)
		}
	}
	if _, err := uploader.AbortStale(t.Context(), "A", time.Now()); err == nil {
		t.Error("uploads below A were listed")
	}
	u := begin(t, s, "k")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := uploader.Upload(ctx, "other"); !errors.Is(err, context.Canceled) {
		t.Errorf("upload with a cancelled context: %v", err)
	}
	if err := u.Append(ctx, objectstore.NewBody([]byte("x"))); !errors.Is(err, context.Canceled) {
		t.Errorf("append with a cancelled context: %v", err)
	}
	appendPart(t, u, []byte("x"))
	if err := u.Complete(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("complete with a cancelled context: %v", err)
	}
	complete(t, u)
	wantObject(t, s, "k", []byte("x"))
}

// uploadStale ends what was begun before a moment, and nothing else.
func uploadStale(t *testing.T, s objectstore.Store) {
	uploader, err := objectstore.Uploads(s)
	if err != nil {
		t.Fatal(err)
	}
	stale := []objectstore.Upload{begin(t, s, "compacted/0a/1"), begin(t, s, "compacted/0a/1"), begin(t, s, "compacted/0b/2")}
	other := begin(t, s, "compact/1")
	for _, u := range append(stale, other) {
		appendPart(t, u, []byte("x"))
	}
	abort := func(prefix string, before time.Time, want int) {
		t.Helper()
		if n, err := uploader.AbortStale(t.Context(), prefix, before); err != nil || n != want {
			t.Errorf("ended %d uploads below %q begun before %v, %v; want %d", n, prefix, before, err, want)
		}
	}
	abort("compacted/", time.Now().Add(-time.Hour), 0)
	abort("compacted/", time.Now().Add(time.Hour), len(stale))
	abort("compacted/", time.Now().Add(time.Hour), 0)
	for _, u := range stale {
		if err := u.Complete(t.Context()); !errors.Is(err, objectstore.ErrUploadGone) {
			t.Errorf("complete of an upload that was ended: %v, want ErrUploadGone", err)
		}
	}
	complete(t, other)
	if got := list(t, s, ""); !slices.Equal(got, []string{"compact/1"}) {
		t.Errorf("listed %q, want what was not ended", got)
	}
}

// uploadLarge makes an object by CreateLarge, of more than one part, and one of less.
func uploadLarge(t *testing.T, s objectstore.Store) {
	chunk := pattern(5<<20 + 77)
	for key, size := range map[string]int64{"l/small": 3 << 20, "l/large": 2*objectstore.PartSize + 1} {
		write := func(size int64) func(emit func([]byte) error) error {
			return func(emit func([]byte) error) error {
				for left := size; left > 0; left -= int64(len(chunk)) {
					if err := emit(chunk[:min(left, int64(len(chunk)))]); err != nil {
						return err
					}
				}
				return nil
			}
		}
		if n, err := objectstore.CreateLarge(t.Context(), s, key, write(size)); err != nil || n != size {
			t.Fatalf("%s: %d bytes, %v; want %d", key, n, err, size)
		}
		// Another size. A store may refuse before it has read the body, and cut the connection, which says nothing: asked again.
		_, err := objectstore.CreateLarge(t.Context(), s, key, write(size+1))
		for tries := 1; tries < 5 && err != nil && !errors.Is(err, objectstore.ErrExists); tries++ {
			_, err = objectstore.CreateLarge(t.Context(), s, key, write(size+1))
		}
		if !errors.Is(err, objectstore.ErrExists) {
			t.Errorf("%s again: %v, want ErrExists", key, err)
		}
		got := get(t, s, key)
		if int64(len(got)) != size {
			t.Fatalf("%s has %d bytes, want %d", key, len(got), size)
		}
		for ; len(got) > 0; got = got[min(len(got), len(chunk)):] {
			if n := min(len(got), len(chunk)); !bytes.Equal(got[:n], chunk[:n]) {
				t.Fatalf("%s differs %d bytes before its end", key, len(got))
			}
		}
	}
}

func begin(t *testing.T, s objectstore.Store, key string) objectstore.Upload {
	t.Helper()
	uploader, err := objectstore.Uploads(s)
	if err != nil {
		t.Fatal(err)
	}
	u, err := uploader.Upload(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func appendPart(t *testing.T, u objectstore.Upload, slices ...[]byte) {
	t.Helper()
	if err := u.Append(t.Context(), objectstore.NewBody(slices...)); err != nil {
		t.Fatal(err)
	}
}

func complete(t *testing.T, u objectstore.Upload) {
	t.Helper()
	if err := u.Complete(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func wantRange(t *testing.T, s objectstore.Store, key string, want []byte) {
	t.Helper()
	if got, err := s.GetRange(t.Context(), key, 0, int64(len(want))); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%s begins with %x, %v; want %x", key, got, err, want)
	}
}
