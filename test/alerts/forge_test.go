package alerts

import (
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/odradek/odradek/objectstore"
	"github.com/odradek/odradek/objectstore/bucket"
	"github.com/odradek/odradek/recordbatch"
	"github.com/odradek/odradek/segment"
	"github.com/odradek/odradek/slotlog"
	"github.com/odradek/odradek/topic"
)

var journalOf = regexp.MustCompile(`journal=([0-9a-f]{32})`)

// forgeSlot creates, in the name of an agent that is stopped, a slot that holds offsets a second time. Who takes its partitions
// over reads it: that is what a defect, or somebody who writes to the bucket, would do.
func (w *world) forgeSlot() {
	w.t.Helper()
	a := w.agents["first"]
	w.wait(time.Minute, "partitions of the first agent", func() bool { return a.Metric("odradek_agent_partitions_owned") > 0 })
	owned := w.ownedBy("first")
	a.Signal(syscall.SIGSTOP)
	defer a.Kill()
	served := a.LogLines("msg=serving")
	journal, err := topic.ParseJournalID(journalOf.FindStringSubmatch(served[len(served)-1])[1])
	if err != nil {
		w.t.Fatal(err)
	}
	dir := strings.TrimPrefix(a.Bucket, "file://")
	slots, err := os.ReadDir(filepath.Dir(filepath.Join(dir, slotlog.JournalKey(journal, 0))))
	if err != nil && !os.IsNotExist(err) {
		w.t.Fatal(err)
	}
	batch := recordbatch.Build(recordbatch.Draft{Records: []recordbatch.Record{{Timestamp: 1, Value: []byte("forged")}}})
	recordbatch.Patch(batch, 0, owned.epoch)
	object, err := segment.Build(segment.Footer{Journal: journal, Slot: topic.Slot(len(slots)), CreatedMs: 1},
		[]segment.Run{{Partition: owned.partition, Epoch: owned.epoch, Base: 0, Next: 1, Batches: [][]byte{batch}}}, segment.None)
	if err != nil {
		w.t.Fatal(err)
	}
	body := slotlog.FreezeBody(slotlog.Data, objectstore.Body{Parts: object.Parts, Size: object.Size, CRC32C: object.CRC32C})
	store, _, err := bucket.Open(w.context(), a.Bucket)
	if err == nil {
		err = store.Create(w.context(), slotlog.JournalKey(journal, topic.Slot(len(slots))), body.Body)
	}
	if err != nil {
		w.t.Fatal(err)
	}
	w.watch.await(time.Minute, "OdradekIndexContradiction second")
}

// ownership is a partition that an agent owns.
type ownership struct {
	partition topic.Partition
	epoch     topic.Epoch
}

// ownedBy finds a partition that an agent owns.
func (w *world) ownedBy(agent string) ownership {
	w.t.Helper()
	var found ownership
	w.wait(time.Minute, "a partition of "+agent, func() bool {
		meta, err := kadm.NewClient(w.client(agent)).Metadata(w.context(), "shared")
		if err != nil {
			return false
		}
		for _, b := range meta.Brokers {
			if w.agents[agent].Addr != net.JoinHostPort(b.Host, strconv.Itoa(int(b.Port))) {
				continue
			}
			for _, p := range meta.Topics["shared"].Partitions {
				if p.Leader == b.NodeID {
					found = ownership{
						topic.Partition{Topic: topic.ID(meta.Topics["shared"].ID), Index: p.Partition}, topic.Epoch(p.LeaderEpoch),
					}
					return true
				}
			}
		}
		return false
	})
	return found
}
