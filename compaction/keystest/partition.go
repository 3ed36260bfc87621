package keystest

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math/rand/v2"

	"github.com/odradek/odradek/recordbatch"
	"github.com/odradek/odradek/topic"
)

// Transaction is one that was aborted, from its first record to its marker.
type Transaction struct {
	Producer      int64
	First, Marker topic.Offset
}

// Last is the end of what a producer wrote.
type Last struct {
	Data  topic.Offset // of its last record under its newest epoch, or -1
	Epoch int16
}

// Partition is a partition that grows.
type Partition struct {
	Next    topic.Offset // the offset that comes next
	Now     int64        // ms since 1970; grows with each batch
	Aborted []Transaction
	Lasts   map[int64]Last

	dice      *rand.Rand
	keys      int
	producers []*producer
}

// producer writes; with transactional it ends each batch of batches with a marker.
type producer struct {
	id            int64 // -1: none
	epoch         int16
	sequence      int32
	transactional bool
	begun         topic.Offset // the first record of the transaction that is going on, or -1
}

// New makes an empty partition. keys is how many different keys are written.
func New(seed uint64, keys int) *Partition {
	p := &Partition{
		Now: 1_700_000_000_000, Lasts: make(map[int64]Last), dice: rand.New(rand.NewPCG(seed, 7)), keys: keys,
		producers: []*producer{{id: -1, begun: -1}},
	}
	for i := range 5 {
		p.producers = append(p.producers, &producer{id: int64(1000 + i), transactional: i >= 2, begun: -1})
	}
	return p
}

// Stable is the last stable offset: below it all transactions have ended.
func (p *Partition) Stable() topic.Offset {
	stable := p.Next
	for _, w := range p.producers {
		if w.begun >= 0 {
			stable = min(stable, w.begun)
		}
	}
	return stable
}

// Append writes n batches and gives them, one behind the other.
func (p *Partition) Append(n int) []byte {
	var all []byte
	for range n {
		p.Now += p.dice.Int64N(2000)
		w := p.producers[p.dice.IntN(len(p.producers))]
		switch {
		case w.begun >= 0 && p.dice.IntN(3) == 0, w.transactional && p.dice.IntN(20) == 0:
			all = append(all, p.marker(w)...)
		default:
			all = append(all, p.data(w)...)
		}
	}
	return all
}

// marker ends the transaction of w, or is one of a transaction that wrote nothing here, as a coordinator may write it.
func (p *Partition) marker(w *producer) []byte {
	commit := p.dice.IntN(2) == 0
	if p.dice.IntN(3) == 0 {
		w.epoch, w.sequence = w.epoch+1, 0 // each marker may raise the epoch (KIP-890)
	}
	key := []byte{0, 0, 0, 0}
	if commit {
		key[3] = 1
	} else if w.begun >= 0 {
		p.Aborted = append(p.Aborted, Transaction{Producer: w.id, First: w.begun, Marker: p.Next})
	}
	w.begun = -1
	b := recordbatch.Build(recordbatch.Draft{
		Base: p.Next, Producer: &recordbatch.Producer{ID: w.id, Epoch: w.epoch, Sequence: -1},
		Transactional: true, Control: true,
		Records: []recordbatch.Record{{Timestamp: p.Now, Key: key, Value: []byte{0, 0, 0, 0, 0, 1}}},
	})
	p.wrote(w, 1, true)
	return b
}

func (p *Partition) data(w *producer) []byte {
	d := recordbatch.Draft{Base: p.Next}
	if w.id >= 0 {
		d.Producer = &recordbatch.Producer{ID: w.id, Epoch: w.epoch, Sequence: w.sequence}
		d.Transactional = w.transactional
	}
	for range 1 + p.dice.IntN(8) {
		d.Records = append(d.Records, p.record())
	}
	if w.transactional && w.begun < 0 {
		w.begun = p.Next
	}
	w.sequence += int32(len(d.Records))
	b := Pack(recordbatch.Build(d), recordbatch.Codec(p.dice.IntN(5)))
	if p.dice.IntN(6) == 0 {
		recordbatch.StampLogAppendTime(b, p.Now)
	}
	p.wrote(w, len(d.Records), false)
	return b
}

func (p *Partition) wrote(w *producer, records int, marker bool) {
	p.Next += topic.Offset(records)
	if w.id < 0 {
		return
	}
	last, ok := p.Lasts[w.id]
	if !ok || last.Epoch != w.epoch {
		last = Last{Data: -1, Epoch: w.epoch}
	}
	if !marker {
		last.Data = p.Next - 1
	}
	p.Lasts[w.id] = last
}

func (p *Partition) record() recordbatch.Record {
	r := recordbatch.Record{
		Timestamp: p.Now - p.dice.Int64N(500),
		Key:       fmt.Appendf(nil, "key-%d", p.dice.IntN(p.keys)),
		Value:     fmt.Appendf(nil, "value %d of %d", p.dice.Uint32(), p.Next),
	}
	switch p.dice.IntN(12) {
	case 0, 1:
		r.Value = nil
	case 2:
		r.Value = []byte{}
	case 3:
		r.Key = nil
	case 4:
		r.Key = []byte{}
	case 5:
		r.Headers = []recordbatch.Header{{Key: "h", Value: []byte("v")}, {Key: "", Value: nil}}
	case 6:
		r.Value = make([]byte, p.dice.IntN(100_000))
		for i := range r.Value {
			r.Value[i] = byte(p.dice.IntN(4))
		}
	}
	return r
}

// Where the fields of a batch are that Pack writes.
const (
	atLength, lengthEnd = 8, 12
	atCRC, atAttributes = 17, 21
)

// Pack compresses the records of the batch b, which are not compressed.
func Pack(b []byte, codec recordbatch.Codec) []byte {
	packed, err := recordbatch.Compress(append([]byte(nil), b[:recordbatch.HeaderSize]...), codec, b[recordbatch.HeaderSize:])
	if err != nil {
		panic(err) // there are five codecs
	}
	packed[atAttributes+1] |= byte(codec)
	binary.BigEndian.PutUint32(packed[atLength:], uint32(len(packed)-lengthEnd))
	binary.BigEndian.PutUint32(packed[atCRC:], crc32.Checksum(packed[atAttributes:], crc32.MakeTable(crc32.Castagnoli)))
	return packed
}
