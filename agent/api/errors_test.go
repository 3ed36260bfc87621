package api

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/odradek/odradek/agent/cluster"
	"github.com/odradek/odradek/agent/fetch"
	"github.com/odradek/odradek/agent/group"
	"github.com/odradek/odradek/agent/ingest"
	"github.com/odradek/odradek/metadata"
	"github.com/odradek/odradek/recordbatch"
	"github.com/odradek/odradek/sequence"
	"github.com/odradek/odradek/slotlog"
)

func TestCodeOf_EverySentinel(t *testing.T) {
	want := []struct {
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
		{fetch.ErrNotKnown, kerr.NotLeaderForPartition},
		{fetch.ErrBehind, kerr.NotLeaderForPartition},
		{fetch.ErrUnknownPartition, kerr.NotLeaderForPartition},
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
		{group.ErrInvalidGroupID, kerr.InvalidGroupID},
		{group.ErrInvalidSessionTimeout, kerr.InvalidSessionTimeout},
		{group.ErrUnknownMember, kerr.UnknownMemberID},
		{group.ErrIllegalGeneration, kerr.IllegalGeneration},
		{group.ErrRebalanceInProgress, kerr.RebalanceInProgress},
		{group.ErrFencedInstance, kerr.FencedInstanceID},
		{group.ErrInconsistentProtocol, kerr.InconsistentGroupProtocol},
		{group.ErrMemberIDRequired, kerr.MemberIDRequired},
		{group.ErrGroupFull, kerr.GroupMaxSizeReached},
		{group.ErrGroupNotFound, kerr.GroupIDNotFound},
		{group.ErrGroupNotEmpty, kerr.NonEmptyGroup},
		{group.ErrSubscribed, kerr.GroupSubscribedToTopic},
		{group.ErrMetadataTooLarge, kerr.OffsetMetadataTooLarge},
		{group.ErrGroupTooLarge, kerr.UnknownServerError},
		{group.ErrTooManyGroups, kerr.CoordinatorNotAvailable},
		{group.ErrTooManyOffsets, kerr.InvalidCommitOffsetSize},
		{group.ErrNotCoordinator, kerr.NotCoordinator},
		{group.ErrLoadInProgress, kerr.CoordinatorLoadInProgress},
	}
	named := map[error]bool{}
	for _, w := range want {
		named[w.err] = true
		if got := codeOf(fmt.Errorf("somewhere: %w", w.err)); got != w.code.Code {
			t.Errorf("%v: %v, want %v", w.err, kerr.ErrorForCode(got), w.code)
		}
	}
	for _, c := range codes {
		if !named[c.err] {
			t.Errorf("%v has a code and no row in this test", c.err)
		}
	}
	if got := codeOf(nil); got != 0 {
		t.Errorf("no error: %d", got)
	}
	if got := codeOf(errors.New("surprise")); got != kerr.UnknownServerError.Code {
		t.Errorf("unknown error: %d", got)
	}
}
