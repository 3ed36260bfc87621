package main

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"
)

var sequenceScenarios = []scenario{
	{"Produce: sequences", sequences},
	{"Produce: epochs", epochs},
	{"Produce: first sequences", firstSequences},
}

func (b *broker) producer() int64 {
	req := kmsg.NewPtrInitProducerIDRequest()
	req.ProducerID, req.ProducerEpoch = -1, -1
	return quietly[*kmsg.InitProducerIDResponse](b, 4, req).ProducerID
}

func sequences(b *broker) {
	id := b.topic("sq", 1)
	pid := b.producer()
	send := func(sequence int32, n int) {
		b.produce(fmt.Sprintf("sequence %d to %d", sequence, int(sequence)+n-1), "sq", b.sequenced(pid, 0, sequence, n))
	}
	send(0, 3)
	send(3, 2)
	send(3, 2) // duplicate
	send(0, 3) // older duplicate
	send(3, 1) // part of one
	send(4, 1) // part of one
	send(0, 5) // two together
	send(7, 1) // gap
	send(5, 1)
	for i := int32(6); i < 12; i++ {
		send(i, 1)
	}
	send(0, 3)  // forgotten
	send(3, 2)  // forgotten
	send(7, 1)  // fifth from the end
	send(6, 1)  // sixth from the end
	send(11, 1) // newest
	b.produce("producer without a sequence", "sq", b.sequenced(pid, 0, -1, 1))
	b.produce("producer without an epoch", "sq", b.sequenced(pid, -1, 12, 1))
	b.produce("sequence without a producer", "sq", b.sequenced(-1, 0, 12, 1))
	b.produce("sequence -2", "sq", b.sequenced(pid, 0, -2, 1))
	two := append(b.sequenced(pid, 0, 12, 1), b.sequenced(pid, 0, 13, 1)...)
	b.produce("two batches of a producer", "sq", two)
	send(12, 1)
	b.fetchAll("sq", id)
}

func epochs(b *broker) {
	id := b.topic("ep", 1)
	pid := b.producer()
	send := func(epoch int16, sequence int32) {
		b.produce(fmt.Sprintf("epoch %d sequence %d", epoch, sequence), "ep", b.sequenced(pid, epoch, sequence, 1))
	}
	send(0, 0)
	send(0, 1)
	send(1, 5) // a new epoch starts at 0
	send(1, 0)
	send(1, 0) // duplicate
	send(0, 2) // fenced
	send(0, 0) // fenced, and once a duplicate
	send(0, 1)
	send(1, 1)
	send(3, 0) // an epoch left out
	send(2, 0)
	send(3, 1)
	send(32767, 0)
	send(3, 2)
	other := b.producer()
	b.produce("another producer", "ep", b.sequenced(other, 0, 0, 2))
	send(32767, 1)
	b.fetchAll("ep", id)
}

func firstSequences(b *broker) {
	b.topic("fs", 2)
	for _, sequence := range []int32{0, 1, 5, 1<<31 - 1} {
		for _, epoch := range []int16{0, 4} {
			b.produce(fmt.Sprintf("a new producer at epoch %d sequence %d", epoch, sequence), "fs", b.sequenced(b.producer(), epoch, sequence, 1))
		}
	}
	pid := b.producer()
	b.produce("before the wrap", "fs", b.sequenced(pid, 0, 1<<31-2, 1))
	b.produce("across the wrap", "fs", b.sequenced(pid, 0, 1<<31-1, 3))
	b.produce("across the wrap, again", "fs", b.sequenced(pid, 0, 1<<31-1, 3))
	b.produce("behind the wrap", "fs", b.sequenced(pid, 0, 2, 1))
	b.produce("a gap behind the wrap", "fs", b.sequenced(pid, 0, 9, 1))
	b.produce("an id that nobody was given", "fs", b.sequenced(1<<41, 0, 0, 1))
	pid = b.producer()
	for _, partition := range []int32{0, 1} {
		ask[*kmsg.ProduceResponse](b, fmt.Sprintf("partition %d has sequences of its own", partition), 11,
			producing(-1, b.run+"fs", [16]byte{}, batchFor{partition, b.sequenced(pid, 0, 0, 1)}))
	}
	trans := with(b.sequenced(b.producer(), 0, 0, 1), put16(atAttributes, 1<<4))
	b.produce("transactional", "fs", trans)
	req := producing(-1, b.run+"fs", [16]byte{}, batchFor{0, trans})
	req.TransactionID = kmsg.StringPtr("t")
	ask[*kmsg.ProduceResponse](b, "transactional with an id", 11, req)
	req = producing(-1, b.run+"fs", [16]byte{}, batchFor{0, b.batch(1)})
	req.TransactionID = kmsg.StringPtr("t")
	ask[*kmsg.ProduceResponse](b, "a transactional id and a plain batch", 11, req)
}
