package wal

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Recovered is a ring that an earlier life left behind.
type Recovered struct {
	Identity Identity
	Path     string // its directory
	Files    int
	Made     time.Time // by this machine's clock

	// First and Next bound what Entries gives: [First, Next). Equal if there is nothing.
	First, Next Position
	// Torn says that entries written behind Next are lost or cut, none of which was durable: a power loss.
	Torn bool
	// Err is not nil if something is wrong that no crash explains; what lies before it is given all the same.
	// It is a CorruptError, an ErrVersion, or an error of the disk.
	Err error

	survey survey
	chain  []run
	open   func(file int) (image, io.Closer, error)
}

// CorruptError says where a ring is not what it was. It is ErrCorrupt.
type CorruptError struct {
	File     string // the file, if it is known
	Sequence uint64
	Offset   int64
	Reason   string
}

func (e *CorruptError) Error() string {
	if e.File != "" {
		return fmt.Sprintf("%v: file %s, offset %d: %s", ErrCorrupt, e.File, e.Offset, e.Reason)
	}
	return fmt.Sprintf("%v: sequence %d, offset %d: %s", ErrCorrupt, e.Sequence, e.Offset, e.Reason)
}

// Unwrap makes the error ErrCorrupt.
func (e *CorruptError) Unwrap() error { return ErrCorrupt }

// Entry is one entry read back.
type Entry struct {
	Start, End Position
	File       string // name of its file
	Sequence   uint64 // which use of the file
	Offset     int64  // of its header in the file
	Payload    []byte // valid until the next one is read
}

// Recover reads all rings in the directory but those open in this process, oldest first by the clock. It
// changes nothing. An entry whose Synced had returned, and that was not released, is in one of them, or that
// one's Err says why not.
func (d *Directory) Recover() ([]*Recovered, error) {
	return inspectRings(filepath.Join(d.path, ringsName), d.isOpen)
}

// Inspect reads, without locking, all rings that it finds: path is a data directory, the directory of rings, or a
// ring, quarantined or not. What it tells of a ring being written is old at once.
func Inspect(path string) ([]*Recovered, error) {
	if id, ok := ringIdentity(path); ok {
		return []*Recovered{inspectRing(path, id)}, nil
	}
	var found []*Recovered
	var errs []error
	for _, dir := range []string{path, filepath.Join(path, ringsName), filepath.Join(path, quarantineName)} {
		rings, err := inspectRings(dir, func(Identity) bool { return false })
		found = append(found, rings...)
		if !errors.Is(err, fs.ErrNotExist) || dir == path {
			errs = append(errs, err)
		}
	}
	return found, errors.Join(errs...)
}

// ringIdentity tells the identity from the name of a ring's directory.
func ringIdentity(path string) (Identity, bool) {
	name, rest, _ := strings.Cut(filepath.Base(path), "-")
	if strings.Contains(name+rest, ".") {
		return Identity{}, false
	}
	return parseIdentity(name)
}

// inspectRings reads all rings in a directory, oldest first.
func inspectRings(dir string, except func(Identity) bool) ([]*Recovered, error) {
	names, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var found []*Recovered
	for _, e := range names {
		if id, ok := ringIdentity(e.Name()); ok && e.IsDir() && !except(id) {
			found = append(found, inspectRing(filepath.Join(dir, e.Name()), id))
		}
	}
	slices.SortStableFunc(found, func(a, b *Recovered) int { return a.Made.Compare(b.Made) })
	return found, nil
}

// inspectRing reads one ring. What goes wrong is in the result's Err.
func inspectRing(path string, id Identity) *Recovered {
	r := &Recovered{Identity: id, Path: path}
	names, err := filepath.Glob(filepath.Join(path, "*"+fileSuffix))
	if err != nil {
		r.Err = err
		return r
	}
	r.Files = len(names)
	r.open = func(file int) (image, io.Closer, error) { return openImage(names[file]) }
	images := make([]image, len(names))
	for i := range names {
		m, f, err := r.open(i)
		if err != nil {
			r.Err = err
			return r
		}
		defer f.Close()
		images[i] = m
	}
	mark, err := readMarks(filepath.Join(path, marksName), id)
	if err != nil {
		r.Err = err
		return r
	}
	r.read(images, mark)
	return r
}

func openImage(path string) (image, io.Closer, error) {
	f, err := os.Open(path)
	if err != nil {
		return image{}, nil, err
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return image{}, nil, err
	}
	return image{name: filepath.Base(path), ReaderAt: f, size: info.Size()}, f, nil
}

// read fills in what the files hold.
func (r *Recovered) read(images []image, mark Position) {
	var err error
	r.survey, r.Err = scan(r.Identity, images, mark)
	r.Made = time.UnixMilli(r.survey.madeMs)
	r.chain, r.Torn, err = r.survey.chain()
	r.Err = errors.Join(r.Err, err)
	r.First, r.Next = r.survey.released, r.survey.released
	if n := len(r.chain); n > 0 {
		r.Next = r.chain[n-1].end
	}
}

// readMarks returns the highest mark, zero if there is none.
func readMarks(path string, id Identity) (Position, error) {
	b, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return 0, err
	}
	return highestMark(b, id), nil
}

func highestMark(b []byte, id Identity) Position {
	var highest Position
	for at := 0; at+markUsed <= min(len(b), marksBytes); at += pageBytes {
		if p, ok := decodeMark(b[at:at+markUsed], id); ok {
			highest = max(highest, p)
		}
	}
	return highest
}

// Entries gives what is not known to be released, in order and without a hole. An error of reading ends it; Err
// is not repeated.
func (r *Recovered) Entries() iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		for _, run := range r.chain {
			m, f, err := r.open(run.file)
			if err == nil {
				err = r.runEntries(m, run, yield)
				f.Close()
			}
			if err != nil {
				if !errors.Is(err, errStopped) {
					yield(Entry{}, err)
				}
				return
			}
		}
	}
}

// errStopped says that the reader of the entries has had enough.
var errStopped = errors.New("stopped")

// runEntries reads the entries of one run again.
func (r *Recovered) runEntries(m image, run run, yield func(Entry, error) bool) error {
	w := newWindow(m)
	for at := run.start; at < run.end; {
		offset := r.survey.offset(at)
		h, payload, err := w.entry(r.Identity.seed(), offset, r.survey.fileBytes)
		if err != nil {
			return err
		}
		if payload == nil || h.position != at {
			return &CorruptError{File: m.name, Sequence: r.survey.sequence(at), Offset: offset,
				Reason: "entry changed since it was checked"}
		}
		at = h.end()
		if at <= r.First {
			continue
		}
		e := Entry{Start: h.position, End: at, File: m.name, Sequence: r.survey.sequence(h.position),
			Offset: offset, Payload: payload}
		if !yield(e, nil) {
			return errStopped
		}
	}
	return nil
}
