package api

import (
	"context"
	"errors"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/odradek/odradek/recordbatch"
	"github.com/odradek/odradek/sequence"
)

// What engines answer with. Each promise is repeated on the method that makes it.
var (
	ErrNotOwner                = errors.New("not the owner of the partition")
	ErrUnknownPartition        = errors.New("no such partition")
	ErrUnknownTopicID          = errors.New("no topic with this id")
	ErrTopicExists             = errors.New("topic exists already")
	ErrOffsetOutOfRange        = errors.New("offset is outside of the log")
	ErrFencedEpoch             = errors.New("partition epoch of the client is older")
	ErrUnknownEpoch            = errors.New("partition epoch of the client is newer")
	ErrTooLarge                = errors.New("record batch too large")
	ErrCorrupt                 = errors.New("record batch corrupt")
	ErrUnsupportedFormat       = errors.New("record format not supported")
	ErrUnsupportedCompression  = errors.New("compression not supported")
	ErrInvalidRecord           = errors.New("invalid record batch")
	ErrInvalidTimestamp        = errors.New("timestamp out of range")
	ErrOutOfOrderSequence      = errors.New("sequence out of order")
	ErrDuplicateSequence       = errors.New("sequence seen before, its offset forgotten")
	ErrInvalidProducerEpoch    = errors.New("producer epoch is older")
	ErrUnknownProducerID       = errors.New("producer id unknown")
	ErrInvalidTxnState         = errors.New("not in a transaction")
	ErrStorage                 = errors.New("records cannot be read from the store")
	ErrUnavailable             = errors.New("not available now")
	ErrClosed                  = errors.New("closed")
	ErrStale                   = errors.New("state changed meanwhile")
	ErrCoordinatorNotAvailable = errors.New("coordinator not available")
	ErrNotCoordinator          = errors.New("not the coordinator")
)

// codes maps errors to Kafka's codes; the first that errors.Is finds counts.
var codes = []struct {
	err  error
	code *kerr.Error
}{
	{ErrNotOwner, kerr.NotLeaderForPartition},
	{ErrUnknownPartition, kerr.UnknownTopicOrPartition},
	{ErrUnknownTopicID, kerr.UnknownTopicID},
	{ErrTopicExists, kerr.TopicAlreadyExists},
	{ErrOffsetOutOfRange, kerr.OffsetOutOfRange},
	{ErrFencedEpoch, kerr.FencedLeaderEpoch},
	{ErrUnknownEpoch, kerr.UnknownLeaderEpoch},
	{ErrTooLarge, kerr.MessageTooLarge},
	{ErrUnsupportedFormat, kerr.UnsupportedForMessageFormat},
	{ErrUnsupportedCompression, kerr.UnsupportedCompressionType},
	{ErrInvalidRecord, kerr.InvalidRecord},
	{ErrInvalidTimestamp, kerr.InvalidTimestamp},
	{ErrCorrupt, kerr.CorruptMessage},
	{ErrOutOfOrderSequence, kerr.OutOfOrderSequenceNumber},
	{ErrDuplicateSequence, kerr.DuplicateSequenceNumber},
	{ErrInvalidProducerEpoch, kerr.InvalidProducerEpoch},
	{ErrUnknownProducerID, kerr.UnknownProducerID},
	{ErrInvalidTxnState, kerr.InvalidTxnState},
	{ErrStorage, kerr.KafkaStorageError},
	{ErrUnavailable, kerr.CoordinatorLoadInProgress},
	{ErrClosed, kerr.NotLeaderForPartition},
	{ErrStale, kerr.ConcurrentTransactions},
	{ErrCoordinatorNotAvailable, kerr.CoordinatorNotAvailable},
	{ErrNotCoordinator, kerr.NotCoordinator},
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
