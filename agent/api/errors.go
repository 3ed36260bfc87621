package api

import (
	"context"
	"errors"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/odradek/odradek/agent/cluster"
	"github.com/odradek/odradek/agent/fetch"
	"github.com/odradek/odradek/agent/ingest"
	"github.com/odradek/odradek/metadata"
	"github.com/odradek/odradek/recordbatch"
	"github.com/odradek/odradek/sequence"
	"github.com/odradek/odradek/slotlog"
)

// What engines answer with beside their own sentinels.
var (
	ErrUnknownPartition = errors.New("no such partition")
	ErrUnknownTopicID   = errors.New("no topic with this id")
	ErrOffsetOutOfRange = errors.New("offset outside of the log")
	ErrStorage          = errors.New("records cannot be read from the store")
	ErrStale            = errors.New("decided on what is not so any more") // try again
	ErrUnproved         = errors.New("owner not proved yet")               // O1: try again

	// ErrCoordinatorNotAvailable says that the place of a group is being made.
	ErrCoordinatorNotAvailable = errors.New("coordinator not available yet")
	// ErrNoTarget says that no partition can be moved to an agent: it is gone, or is being emptied.
	ErrNoTarget = errors.New("agent takes no partitions")
)

// codes maps errors to Kafka's codes; the first that errors.Is finds counts. The group engine's rows are in groups.go.
var codes = []struct {
	err  error
	code *kerr.Error
}{
	{ErrUnknownPartition, kerr.UnknownTopicOrPartition},
	{ErrUnknownTopicID, kerr.UnknownTopicID},
	{ErrOffsetOutOfRange, kerr.OffsetOutOfRange},
	{ErrStorage, kerr.KafkaStorageError},
	{ErrStale, kerr.NotController},
	{ErrUnproved, kerr.NotLeaderForPartition},
	{ErrCoordinatorNotAvailable, kerr.CoordinatorNotAvailable},
	{ErrNoTarget, kerr.InvalidReplicaAssignment},

	{ingest.ErrNotOwner, kerr.NotLeaderForPartition},
	{ingest.ErrFenced, kerr.NotLeaderForPartition},
	{ingest.ErrTooLarge, kerr.MessageTooLarge},
	{ingest.ErrTransactional, kerr.InvalidTxnState},
	{ingest.ErrTimestamp, kerr.InvalidTimestamp},
	{ingest.ErrManyBatches, kerr.InvalidRecord},
	{ingest.ErrNoKey, kerr.InvalidRecord},
	{ingest.ErrAhead, kerr.OffsetOutOfRange},
	{slotlog.ErrFenced, kerr.NotLeaderForPartition},
	{slotlog.ErrClosed, kerr.NotLeaderForPartition},

	{fetch.ErrOutOfRange, kerr.OffsetOutOfRange},
	{fetch.ErrNotKnown, kerr.NotLeaderForPartition}, // only the owner says out of range (O2)
	{fetch.ErrBehind, kerr.NotLeaderForPartition},
	{fetch.ErrUnknownPartition, kerr.NotLeaderForPartition}, // deleted: the client looks it up again
	{fetch.ErrStorage, kerr.KafkaStorageError},

	{cluster.ErrTopicExists, kerr.TopicAlreadyExists},
	{cluster.ErrUnknownTopic, kerr.UnknownTopicOrPartition},
	{cluster.ErrCollision, kerr.InvalidTopicException},
	{cluster.ErrVoid, kerr.NotController},
	{metadata.ErrUnavailable, kerr.NotLeaderForPartition},

	{sequence.ErrOutOfOrderSequence, kerr.OutOfOrderSequenceNumber},
	{sequence.ErrInvalidProducerEpoch, kerr.InvalidProducerEpoch},

	{recordbatch.ErrTooLarge, kerr.MessageTooLarge},
	{recordbatch.ErrMagic, kerr.UnsupportedForMessageFormat},
	{recordbatch.ErrTruncated, kerr.CorruptMessage},
	{recordbatch.ErrCRC, kerr.CorruptMessage},
	{recordbatch.ErrCount, kerr.InvalidRecord},
	{recordbatch.ErrAttributes, kerr.InvalidRecord},
	{recordbatch.ErrRecord, kerr.InvalidRecord},
	{recordbatch.ErrControl, kerr.InvalidRecord},
	{recordbatch.ErrSequence, kerr.InvalidRecord},
	{recordbatch.ErrBaseOffset, kerr.InvalidRecord},

	{context.DeadlineExceeded, kerr.RequestTimedOut},
	{context.Canceled, kerr.RequestTimedOut},
}

// codeOf gives the Kafka code of an error: 0 for none, UNKNOWN_SERVER_ERROR for one that the table does not know.
func codeOf(err error) int16 {
	if err == nil {
		return 0
	}
	for _, c := range codes {
		if errors.Is(err, c.err) {
			return c.code.Code
		}
	}
	return kerr.UnknownServerError.Code
}

// code is codeOf for the answer to c. What the table does not know is our own defect and is logged.
func (rt *Router) code(c *call, err error) int16 {
	code := codeOf(err)
	if code == kerr.UnknownServerError.Code {
		rt.log.Error("request met an unexpected error", "api", kmsg.NameForKey(c.key), "client", c.clientID, "error", err)
	}
	return code
}

// messageOf is the error's text for the fields that carry one; nil for no error.
func messageOf(err error) *string {
	if err == nil {
		return nil
	}
	s := err.Error()
	return &s
}
