package pool

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/odradek/odradek/wal"
)

// Tear is what a crash left behind the newest entry of a WAL.
type Tear string

// The tears. None touches an entry: what was acked with acks=1 is on the disk still.
const (
	Garbage Tear = "garbage"     // bytes of anything
	Half    Tear = "half"        // the first half of an entry
	Cut     Tear = "end of file" // the rest of the file is missing
)

// ErrNoEntry says that an agent's WAL holds nothing to tear.
var ErrNoEntry = errors.New("no entry in the WAL")

// TearWAL tears the WAL of an agent whose process is gone, behind its newest entry, and says where.
func (a *Agent) TearWAL(t Tear) (string, error) {
	rings, err := wal.Inspect(a.data)
	if err != nil {
		return "", err
	}
	path, start, end := "", int64(0), int64(0)
	for _, r := range rings {
		for e, err := range r.Entries() {
			if err != nil {
				return "", err
			}
			path, start, end = filepath.Join(r.Path, filepath.Base(e.File)), e.Offset, e.Offset+int64(e.End-e.Start)
		}
	}
	if path == "" {
		return "", ErrNoEntry
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return "", err
	}
	defer f.Close()
	if t == Cut {
		err = f.Truncate(end)
	} else {
		err = tear(f, t, start, end)
	}
	if err != nil {
		return "", fmt.Errorf("tear %s: %w", path, err)
	}
	return fmt.Sprintf("%s at %d of %s", t, end, filepath.Base(path)), nil
}

// tear writes bytes behind the entry [start, end), inside the file.
func tear(f *os.File, t Tear, start, end int64) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	b := bytes.Repeat([]byte("torn\xff"), 700)
	if t == Half {
		b = make([]byte, (end-start)/2)
		if _, err := f.ReadAt(b, start); err != nil {
			return err
		}
	}
	_, err = f.WriteAt(b[:min(int64(len(b)), info.Size()-end)], end)
	return err
}

// ClearQuarantine removes what was put aside, as people do that have looked at it: else a long run fills the disk.
func (a *Agent) ClearQuarantine() error { return os.RemoveAll(filepath.Join(a.data, "quarantine")) }
