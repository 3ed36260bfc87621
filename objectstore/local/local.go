package local

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"

	"github.com/odradek/odradek/objectstore"
)

// Store is a bucket in a directory. Safe for concurrent use, by several processes too.
type Store struct {
	dir    string // absolute
	tmp    string // where bodies are written before they get their name
	serial atomic.Uint64
	names  durableNames
	reads  bool // nothing is created, removed or synced

	brokenMu sync.Mutex // guards broken
	broken   error      // the first fsync that failed; nothing is created or relied on after it
}

var _ objectstore.Store = (*Store)(nil)

// Open opens the bucket in dir, which is created if it does not exist, and removes what dead processes left
// unfinished in it. It takes no lock; see Lock.
func Open(dir string) (*Store, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("bucket %s: %w", dir, err)
	}
	s := &Store{dir: abs, tmp: filepath.Join(abs, tmpDir)}
	s.names.init()
	if err := makeDirs(s.tmp); err != nil {
		return nil, fmt.Errorf("bucket %s: %w", abs, explain(err))
	}
	// The directory may be another process's that has not come to its fsync. Who may not read the parent cannot
	// have made it either.
	if err := fsync(filepath.Dir(abs)); err != nil && !errors.Is(err, fs.ErrPermission) {
		return nil, fmt.Errorf("bucket %s: %w", abs, explain(err))
	}
	if err := s.removeLeftovers(); err != nil {
		return nil, fmt.Errorf("bucket %s: %w", abs, err)
	}
	return s, nil
}

// OpenToRead opens the bucket in dir, which must exist, to look at it: nothing is created, removed or synced, and Create
// and Delete are errors. What it reads may be gone after a power cut, so nothing may be decided on it.
func OpenToRead(dir string) (*Store, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("bucket %s: %w", dir, err)
	}
	info, err := os.Stat(abs)
	if err == nil && !info.IsDir() {
		err = errNotDirectory
	}
	if err != nil {
		return nil, fmt.Errorf("bucket %s: %w", abs, err)
	}
	return &Store{dir: abs, tmp: filepath.Join(abs, tmpDir), reads: true}, nil
}

// errReads says that a Store of OpenToRead was asked to write.
var errReads = errors.New("bucket is open to read only")

// Dir returns the bucket's directory as an absolute path.
func (s *Store) Dir() string { return s.dir }

// Get implements objectstore.Store.
func (s *Store) Get(ctx context.Context, key string) ([]byte, error) {
	return s.read(ctx, key, func(size int64) (int64, int64, error) { return 0, size, nil })
}

// GetRange implements objectstore.Store.
func (s *Store) GetRange(ctx context.Context, key string, offset, length int64) ([]byte, error) {
	return s.read(ctx, key, func(size int64) (int64, int64, error) {
		return objectstore.Range(size, offset, length)
	})
}

// Head implements objectstore.Store.
func (s *Store) Head(ctx context.Context, key string) (objectstore.Info, error) {
	if err := s.admit(ctx, "head", key); err != nil {
		return objectstore.Info{}, err
	}
	info, err := os.Lstat(s.path(key))
	if err == nil && !info.Mode().IsRegular() {
		err = fs.ErrNotExist
	}
	if err == nil {
		err = s.settle(key, info)
	}
	if err != nil {
		return objectstore.Info{}, readError("head", key, err)
	}
	return objectstore.Info{Key: key, Size: info.Size(), Modified: info.ModTime()}, nil
}

// Delete implements objectstore.Store. The name may come back after a power cut.
func (s *Store) Delete(ctx context.Context, key string) error {
	if err := s.admit(ctx, "delete", key); err != nil {
		return err
	}
	if s.reads {
		return fmt.Errorf("delete %s: %w", key, errReads)
	}
	err := os.Remove(s.path(key))
	if err != nil && !absent(err) {
		return fmt.Errorf("delete %s: %w", key, err)
	}
	return nil
}

// read returns the part of the object that within chooses, given the object's size.
func (s *Store) read(ctx context.Context, key string, within func(size int64) (from, to int64, err error)) ([]byte, error) {
	if err := s.admit(ctx, "get", key); err != nil {
		return nil, err
	}
	f, err := os.Open(s.path(key))
	if err != nil {
		return nil, readError("get", key, err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fs.ErrNotExist
	}
	if err == nil {
		err = s.settle(key, info)
	}
	if err != nil {
		return nil, readError("get", key, err)
	}
	from, to, err := within(info.Size())
	if err != nil {
		return nil, fmt.Errorf("get %s: %w", key, err)
	}
	data := make([]byte, to-from)
	if len(data) == 0 {
		return data, nil
	}
	if _, err := f.ReadAt(data, from); err != nil {
		return nil, fmt.Errorf("get %s: %w", key, err)
	}
	return data, nil
}

// admit checks what every call checks first. A store whose fsync failed answers no more.
func (s *Store) admit(ctx context.Context, call, key string) error {
	if err := objectstore.CheckKey(key); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%s %s: %w", call, key, err)
	}
	s.brokenMu.Lock()
	defer s.brokenMu.Unlock()
	if s.broken != nil {
		return fmt.Errorf("%s %s: bucket %s stopped after a disk error, restart to use it again: %w", call, key, s.dir, s.broken)
	}
	return nil
}

func (s *Store) path(key string) string { return filepath.Join(s.dir, filepath.FromSlash(key)) }

func readError(call, key string, err error) error {
	if absent(err) {
		return fmt.Errorf("%s %s: %w", call, key, objectstore.ErrNotFound)
	}
	return fmt.Errorf("%s %s: %w", call, key, err)
}

// absent reports an error that says "no such object": the name is not there, or a directory above it is a file.
func absent(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, errNotDirectory)
}
