package local

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/odradek/odradek/objectstore"
)

var _ objectstore.Uploader = (*Store)(nil)

// maxKeyName is how much of a key stands in the name of its upload's file. Names have at most 255 bytes.
const maxKeyName = 200

// upload is a temporary file that grows. It is linked to its key's name like the body of a Create.
type upload struct {
	store *Store
	key   string
	file  *os.File
	count objectstore.PartCount
	done  bool // it was completed
	gone  bool // or aborted
}

// Upload implements objectstore.Uploader.
func (s *Store) Upload(ctx context.Context, key string) (objectstore.Upload, error) {
	if err := s.admit(ctx, "upload", key); err != nil {
		return nil, err
	}
	if s.reads {
		return nil, fmt.Errorf("upload %s: %w", key, errReads)
	}
	f, err := s.createTemp(uploadName(key))
	if err != nil {
		return nil, fmt.Errorf("upload %s: %w", key, explain(err))
	}
	return &upload{store: s, key: key, file: f}, nil
}

// Append implements objectstore.Upload. The part's size and CRC32C are checked as it is written.
func (u *upload) Append(ctx context.Context, part objectstore.Body) error {
	if err := u.store.admit(ctx, "upload", u.key); err != nil {
		return err
	}
	err := u.count.Admit(part.Size)
	if err == nil {
		err = u.here()
	}
	if err == nil {
		err = u.write(ctx, part)
	}
	if err != nil {
		return fmt.Errorf("upload %s: %w", u.key, explain(err))
	}
	u.count.Add(part.Size)
	return nil
}

// here reports an upload that was given up, by its maker or by AbortStale.
func (u *upload) here() error {
	if u.done || u.gone {
		return objectstore.ErrUploadGone
	}
	_, err := os.Lstat(u.file.Name())
	if errors.Is(err, fs.ErrNotExist) {
		return objectstore.ErrUploadGone
	}
	return err
}

// write puts a part behind the others. What an attempt that failed left there is written over.
func (u *upload) write(ctx context.Context, part objectstore.Body) error {
	var size int64
	var crc uint32
	for _, p := range part.Parts {
		if err := ctx.Err(); err != nil {
			return err
		}
		if _, err := u.file.WriteAt(p, u.count.Size+size); err != nil {
			return err
		}
		size += int64(len(p))
		crc = crc32.Update(crc, castagnoli, p)
	}
	if size != part.Size || crc != part.CRC32C {
		return fmt.Errorf("part of %d bytes with crc32c %08x: says %d bytes, %08x", size, crc, part.Size, part.CRC32C)
	}
	return nil
}

// Complete implements objectstore.Upload. Blocks for the fsync of all that was appended, and that of the directory.
func (u *upload) Complete(ctx context.Context) error {
	if err := u.store.admit(ctx, "complete", u.key); err != nil {
		return err
	}
	if u.done {
		return nil
	}
	if err := u.complete(ctx); err != nil {
		return fmt.Errorf("complete %s: %w", u.key, explain(err))
	}
	u.done = true
	u.close()
	return nil
}

func (u *upload) complete(ctx context.Context) error {
	if err := u.count.Whole(); err != nil {
		return err
	}
	err := u.here()
	if errors.Is(err, objectstore.ErrUploadGone) {
		if _, serr := u.store.Head(ctx, u.key); serr == nil {
			err = objectstore.ErrExists
		}
	}
	if err != nil {
		return err
	}
	if err := u.file.Truncate(u.count.Size); err != nil { // a part that failed may have left more
		return err
	}
	if err := u.file.Sync(); err != nil {
		return u.store.fail(&syncError{err})
	}
	return u.store.publish(u.key, u.file.Name())
}

// Abort implements objectstore.Upload.
func (u *upload) Abort(ctx context.Context) error {
	if err := u.store.admit(ctx, "abort", u.key); err != nil {
		return err
	}
	if !u.done && !u.gone {
		u.gone = true
		u.close()
	}
	return nil
}

// close drops the temporary file. A leftover goes at the next Open.
func (u *upload) close() {
	u.file.Close()
	os.Remove(u.file.Name())
}

// AbortStale implements objectstore.Uploader: it removes the temporary files of uploads, whichever process began them.
func (s *Store) AbortStale(ctx context.Context, prefix string, before time.Time) (int, error) {
	if err := objectstore.CheckPrefix(prefix); err != nil {
		return 0, err
	}
	if s.reads {
		return 0, fmt.Errorf("abort uploads %s: %w", prefix, errReads)
	}
	entries, err := os.ReadDir(s.tmp)
	if err != nil {
		return 0, fmt.Errorf("abort uploads %s: %w", prefix, err)
	}
	ended := 0
	for _, e := range entries {
		if err := ctx.Err(); err != nil {
			return ended, fmt.Errorf("abort uploads %s: %w", prefix, err)
		}
		key, begun, ok := uploadOf(e.Name())
		if !ok || !strings.HasPrefix(key, prefix) || !begun.Before(before) {
			continue
		}
		err := os.Remove(filepath.Join(s.tmp, e.Name()))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return ended, fmt.Errorf("abort uploads %s: %w", prefix, err)
		}
		ended++
	}
	return ended, nil
}

// uploadName is what of a key goes into the name of its upload's file.
func uploadName(key string) string {
	return "-" + strings.ReplaceAll(key[:min(len(key), maxKeyName)], "/", "%")
}

// uploadOf reads key, or how it begins, and time from the name of an upload's file.
func uploadOf(name string) (key string, begun time.Time, ok bool) {
	fields := strings.SplitN(name, "-", 4)
	if _, ok := tempOwner(name); !ok || len(fields) < 4 {
		return "", time.Time{}, false
	}
	ns, err := strconv.ParseInt(fields[1], 16, 64)
	return strings.ReplaceAll(fields[3], "%", "/"), time.Unix(0, ns), err == nil
}
