package wal

import (
	"strings"
	"testing"
)

// slowDisk is a memoryDisk whose files wait before they write, as long as there is somebody to wait for.
type slowDisk struct {
	*memoryDisk
	stalled chan chan struct{} // receives what the write then waits for; nil: writes do not wait
}

func (d *slowDisk) Create(path string, size int64) (File, error) {
	f, err := d.memoryDisk.Create(path, size)
	return slowFile{f, d, strings.HasSuffix(path, fileSuffix)}, err
}

type slowFile struct {
	File
	disk *slowDisk
	ring bool
}

func (f slowFile) WriteAt(parts [][]byte, offset int64) error {
	if f.ring && f.disk.stalled != nil {
		goOn := make(chan struct{})
		f.disk.stalled <- goOn
		<-goOn
	}
	return f.File.WriteAt(parts, offset)
}

// dirty counts the sectors that a power loss could take.
func (d *memoryDisk) dirty() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := 0
	for _, f := range d.files {
		n += len(f.dirty)
	}
	return n
}

// A write that is under way while the file is synced is not covered by that sync.
func TestSynced_CoversAWriteThatASyncOvertook(t *testing.T) {
	disk := &slowDisk{memoryDisk: newMemoryDisk()}
	o := openTest(t, disk, Config{}, false)
	disk.stalled = make(chan chan struct{})
	o.run(t)
	first, err := o.Append([]byte("first"))
	if err != nil {
		t.Fatal(err)
	}
	close(<-disk.stalled)
	if err := o.Written(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	second, err := o.Append([]byte("second"))
	if err != nil {
		t.Fatal(err)
	}
	write := <-disk.stalled // has begun, and no byte of it is in the file
	if err := o.Synced(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	close(write)
	if err := o.Synced(t.Context(), second); err != nil {
		t.Fatal(err)
	}
	if n := disk.dirty(); n > 0 {
		t.Errorf("%d sectors are not durable after Synced returned for all that was appended", n)
	}
}
