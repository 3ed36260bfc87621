package recordbatch

import "errors"

// Why a batch is refused. Errors wrap one of these and name the values found.
var (
	// ErrTruncated says that fewer bytes are there than the batch declares, or that bytes are left behind the last one.
	ErrTruncated = errors.New("record batch truncated")
	// ErrMagic says that the batch is of another format than v2 (magic 0 and 1 are the message sets before Kafka 0.11).
	ErrMagic = errors.New("record batch format is not v2")
	// ErrCRC says that the batch's bytes do not match its CRC32C.
	ErrCRC = errors.New("record batch crc mismatch")
	// ErrCount says that record count and last offset delta disagree or that there is no record.
	ErrCount = errors.New("record batch counts disagree")
	// ErrAttributes says that the codec bits name no codec.
	ErrAttributes = errors.New("record batch attributes unknown")
	// ErrTooLarge says that a batch, or what it unpacks to, is larger than the caller allows.
	ErrTooLarge = errors.New("record batch too large")
	// ErrRecord says that the records inside a batch are malformed.
	ErrRecord = errors.New("record malformed")
	// ErrControl says that a client set the control bit.
	ErrControl = errors.New("control batch from a client")
	// ErrSequence says that a batch names a producer but no sequence or producer epoch.
	ErrSequence = errors.New("record batch with a producer id but no sequence")
	// ErrBaseOffset says that a client chose an offset, which only brokers do.
	ErrBaseOffset = errors.New("record batch from a client with an offset other than 0")
)
