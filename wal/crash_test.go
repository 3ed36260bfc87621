package wal

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// ringImage is the bytes of a ring's files and what was appended to it.
type ringImage struct {
	files [][]byte // in the order of their sequences
	mark  Position
	want  [][]byte
	ends  []Position
}

// writeImage makes a log of several entries in several files, each of them synced before the next is appended.
func writeImage(t *testing.T, entries int, release int) *ringImage {
	t.Helper()
	o := openTest(t, OSDisk{}, Config{FileBytes: 8 << 10, MaxBytes: 64 << 10}, true)
	m := &ringImage{}
	for i := range entries {
		b := sample(i, 1200)
		end := mustAppend(t, o.WAL, b)
		mustSync(t, o.WAL, end)
		m.want, m.ends = append(m.want, b), append(m.ends, end)
		if i < release {
			o.Release(end)
		}
	}
	if err := o.stop(); err != nil {
		t.Fatal(err)
	}
	ring := filepath.Join(o.path, ringsName, testIdentity.String())
	names, err := filepath.Glob(filepath.Join(ring, "*"+fileSuffix))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		m.files = append(m.files, b)
	}
	if m.mark, err = readMarks(filepath.Join(ring, marksName), testIdentity); err != nil {
		t.Fatal(err)
	}
	return m
}

// recoverFiles recovers a ring from the bytes of its files.
func recoverFiles(id Identity, files [][]byte, mark Position) *Recovered {
	r := &Recovered{Identity: id, Files: len(files)}
	images := make([]image, len(files))
	for i, b := range files {
		images[i] = image{name: fileName(i), ReaderAt: bytes.NewReader(b), size: int64(len(b))}
	}
	r.open = func(file int) (image, io.Closer, error) { return images[file], io.NopCloser(nil), nil }
	r.read(images, mark)
	return r
}

// recoverPrefix recovers and fails unless what it gets are the first entries appended. It returns their number.
func (m *ringImage) recoverPrefix(t *testing.T, files [][]byte, what string) (int, *Recovered) {
	t.Helper()
	r := recoverFiles(testIdentity, files, m.mark)
	n := 0
	for e, err := range r.Entries() {
		if err != nil {
			t.Fatalf("%s: entry %d: %v", what, n, err)
		}
		if n >= len(m.want) || !bytes.Equal(e.Payload, m.want[n]) || e.End != m.ends[n] {
			t.Fatalf("%s: entry %d is not what was appended", what, n)
		}
		n++
	}
	return n, r
}

// eachByte calls fn for the places in a file worth damaging: all but the zeros of its header.
func eachByte(file []byte, fn func(at int)) {
	for at := 0; at <= len(file); at++ {
		if at <= fileHeaderUsed || at >= fileHeaderBytes {
			fn(at)
		}
	}
}

func TestRecover_LogCutAtEveryByteGivesEverythingBefore(t *testing.T) {
	m := writeImage(t, 16, 0)
	if len(m.files) < 3 {
		t.Fatalf("%d files, want several", len(m.files))
	}
	for i := range m.files {
		eachByte(m.files[i], func(at int) {
			whole := 0
			for _, end := range m.ends {
				if int(end) <= i*(8<<10)+at {
					whole++
				}
			}
			for _, how := range []string{"truncate", "zero"} {
				files := slices.Clone(m.files[:i+1])
				files[i] = slices.Clone(files[i][:at])
				if how == "zero" {
					files[i] = append(files[i], make([]byte, 8<<10-at)...)
				}
				what := fmt.Sprintf("%s file %d at %d", how, i, at)
				n, r := m.recoverPrefix(t, files, what)
				// The zeros that pad an entry are not part of it.
				if n != whole && (n != whole+1 || int(m.ends[whole])-i*(8<<10)-at >= entryAlign) {
					t.Fatalf("%s: %d entries, want %d", what, n, whole)
				}
				if r.Err != nil && at >= fileHeaderUsed {
					t.Fatalf("%s: %v", what, r.Err)
				}
			}
		})
	}
}

func TestRecover_HoleBeforeDurableEntriesIsCorruption(t *testing.T) {
	m := writeImage(t, 16, 0)
	for i := range len(m.files) - 1 {
		eachByte(m.files[i], func(at int) {
			files := slices.Clone(m.files)
			files[i] = files[i][:at]
			what := fmt.Sprintf("truncate file %d at %d, later files whole", i, at)
			n, r := m.recoverPrefix(t, files, what)
			if n < len(m.want) && !errors.Is(r.Err, ErrCorrupt) {
				t.Fatalf("%s: %d of %d entries and error %v, want ErrCorrupt", what, n, len(m.want), r.Err)
			}
		})
	}
}

func TestRecover_FlippedByteNeverGivesAWrongEntry(t *testing.T) {
	m := writeImage(t, 16, 0)
	for i := range m.files {
		files := slices.Clone(m.files)
		files[i] = slices.Clone(files[i])
		eachByte(m.files[i], func(at int) {
			if at == len(files[i]) {
				return
			}
			files[i][at] ^= byte(1 + at%255)
			what := fmt.Sprintf("flip byte %d of file %d", at, i)
			n, r := m.recoverPrefix(t, files, what)
			files[i][at] = m.files[i][at]
			// The last entry is not told from one that the crash tore: nothing behind it says that it was durable.
			if n < len(m.want)-1 && !errors.Is(r.Err, ErrCorrupt) {
				t.Fatalf("%s: %d of %d entries and error %v, want ErrCorrupt", what, n, len(m.want), r.Err)
			}
		})
	}
}

func TestRecover_HoleBelowReleaseIsNoLoss(t *testing.T) {
	m := writeImage(t, 16, 2)
	clear(m.files[0][fileHeaderBytes:m.ends[1]])
	m.want, m.ends = m.want[2:], m.ends[2:]
	n, r := m.recoverPrefix(t, m.files, "first two entries cleared")
	if n != len(m.want) || r.Err != nil || r.Torn {
		t.Fatalf("%d of %d entries, torn %v, error %v", n, len(m.want), r.Torn, r.Err)
	}
}

func TestRecover_UnknownVersionIsNamed(t *testing.T) {
	m := writeImage(t, 1, 0)
	m.files[0][11] = 2
	head := m.files[0][:fileHeaderUsed]
	copy(head[60:], be32(checksum(head[:60])))
	n, r := m.recoverPrefix(t, m.files, "version 2")
	want := "00000.wal: write-ahead log version unknown: 2, this build reads 1"
	if n != 0 || !errors.Is(r.Err, ErrVersion) || errors.Is(r.Err, ErrCorrupt) || r.Err.Error() != want {
		t.Fatalf("got %d entries and %v, want %q", n, r.Err, want)
	}
}

// TestRecover_PowerLossKeepsWhatWasSynced cuts the power at a random moment of a random life, again and again:
// of what was not synced each sector is kept or lost.
func TestRecover_PowerLossKeepsWhatWasSynced(t *testing.T) {
	for seed := range uint64(60) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 1))
			disk := newMemoryDisk()
			o := openTest(t, disk, Config{FileBytes: 16 << 10, MaxBytes: 16 << 10 * (2 + rng.Int64N(4))}, true)
			l := &life{t: t, o: o, rng: rng}
			for range 20 + rng.IntN(400) {
				l.step()
			}
			after := t.TempDir()
			disk.losePower(t, rng, o.path, after)
			l.check(after)
			whole := t.TempDir()
			disk.losePower(t, nil, o.path, whole)
			l.check(whole)
		})
	}
}

// life is a random sequence of calls and what was promised in it.
type life struct {
	t        *testing.T
	o        *opened
	rng      *rand.Rand
	ends     []Position
	synced   int // entries below it were synced
	released int // entries below it were released
}

func (l *life) step() {
	switch k := l.rng.IntN(20); {
	case k < 14:
		pos, err := l.o.Append(sample(len(l.ends), 5000))
		if err == nil {
			l.ends = append(l.ends, pos)
		} else if errors.Is(err, ErrFull) {
			l.release()
		} else {
			l.t.Fatal(err)
		}
	case k < 17:
		l.release()
	case k < 18 && len(l.ends) > 0:
		if err := l.o.Written(l.t.Context(), l.ends[len(l.ends)-1]); err != nil {
			l.t.Fatal(err)
		}
	case len(l.ends) > 0:
		n := 1 + l.rng.IntN(len(l.ends))
		mustSync(l.t, l.o.WAL, l.ends[n-1])
		l.synced = max(l.synced, n)
	}
}

// release releases some entries, perhaps before they are written.
func (l *life) release() {
	if n := len(l.ends) - l.released; n > 0 {
		l.released += 1 + l.rng.IntN(n)
		l.o.Release(l.ends[l.released-1])
	}
}

// check recovers and compares with what was promised.
func (l *life) check(path string) {
	l.t.Helper()
	r, got := recovered(l.t, path)
	if r.Err != nil {
		l.t.Fatalf("recovered %d entries up to %d: %v", len(got), r.Next, r.Err)
	}
	next := 0
	for next < len(l.ends) && l.ends[next] <= r.Next {
		next++
	}
	first := next - len(got)
	for i, b := range got {
		if !bytes.Equal(b, sample(first+i, 5000)) {
			l.t.Fatalf("entry %d of %d is not entry %d appended", i, len(got), first+i)
		}
	}
	if l.synced > l.released && (first > l.released || next < l.synced) {
		l.t.Fatalf("recovered [%d, %d), want all of [%d, %d)", first, next, l.released, l.synced)
	}
}
