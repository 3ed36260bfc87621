package control

import "fmt"

// Record is one record of the control log; the types of this package are all there are. Records hold no clock
// and no secret, and are not changed once given to Encode, Judge or Apply.
type Record interface {
	Type() Type
	// String tells the record in one line.
	String() string

	encode(w *writer)
	// judge says why the record is void in s, or nothing if it holds. s is not changed.
	judge(s *State) string
	// apply brings about a record that holds, in a State nobody else sees yet; s.next is the record's number.
	apply(s *State)
}

// Describe tells a record in one line, for people.
func Describe(r Record) string { return r.Type().String() + " " + r.String() }

// Type numbers a kind of record in the control log; numbers are never given twice.
type Type uint16

// The types that this build reads.
const (
	TypeGenesis       Type = 1
	TypeFeature       Type = 2
	TypeClusterConfig Type = 3
	TypeTopicCreate   Type = 10
	TypePartitionsAdd Type = 11
	TypeTopicDelete   Type = 12
	TypeTopicConfig   Type = 13
	TypeJournalOpen   Type = 20
	TypeJournalSealed Type = 21
	TypeAssign        Type = 22
	TypeTrim          Type = 23
	TypeManifest      Type = 24
	TypeDrain         Type = 25
	TypeMove          Type = 26
	TypeProducerIDs   Type = 30
	TypeEra           Type = 40
	TypeCheckpoint    Type = 41
	TypeSweep         Type = 42
	TypeSnapshot      Type = 43
	TypeFork          Type = 44
	TypeUnpin         Type = 45
	TypeEnd           Type = 46
	TypeVerified      Type = 47
	TypeForked        Type = 48
)

// Numbers that are spoken for, unknown to this build: Decode answers ErrUnknownRecord.
const (
	typeUser  Type = 50
	typeACL   Type = 51
	typeQuota Type = 52
)

// kind tells how to read one type of record: decode[v-1] reads the body's version v. The last one is written.
type kind struct {
	name   string
	decode []func(r *reader) Record
}

func kindOf(t Type) (kind, bool) {
	k, ok := kinds[t]
	return k, ok && len(k.decode) > 0
}

var kinds = map[Type]kind{
	TypeGenesis:       {"GENESIS", []func(*reader) Record{decodeGenesis}},
	TypeFeature:       {"FEATURE", []func(*reader) Record{decodeFeature}},
	TypeClusterConfig: {"CLUSTER_CONFIG", []func(*reader) Record{decodeClusterConfig}},
	TypeTopicCreate:   {"TOPIC_CREATE", []func(*reader) Record{decodeTopicCreate}},
	TypePartitionsAdd: {"PARTITIONS_ADD", []func(*reader) Record{decodePartitionsAdd}},
	TypeTopicDelete:   {"TOPIC_DELETE", []func(*reader) Record{decodeTopicDelete}},
	TypeTopicConfig:   {"TOPIC_CONFIG", []func(*reader) Record{decodeTopicConfig}},
	TypeJournalOpen:   {"JOURNAL_OPEN", []func(*reader) Record{decodeJournalOpen}},
	TypeJournalSealed: {"JOURNAL_SEALED", []func(*reader) Record{decodeJournalSealed}},
	TypeAssign:        {"ASSIGN", []func(*reader) Record{decodeAssign}},
	TypeTrim:          {"TRIM", []func(*reader) Record{decodeTrim}},
	TypeManifest:      {"MANIFEST", []func(*reader) Record{decodeManifest}},
	TypeDrain:         {"DRAIN", []func(*reader) Record{decodeDrain}},
	TypeMove:          {"MOVE", []func(*reader) Record{decodeMove}},
	TypeProducerIDs:   {"PRODUCER_IDS", []func(*reader) Record{decodeProducerIDs}},
	TypeEra:           {"ERA", []func(*reader) Record{decodeEra}},
	TypeCheckpoint:    {"CHECKPOINT", []func(*reader) Record{decodeCheckpoint}},
	TypeSweep:         {"SWEEP", []func(*reader) Record{decodeSweep}},
	TypeSnapshot:      {"SNAPSHOT", []func(*reader) Record{decodeSnapshot}},
	TypeFork:          {"FORK", []func(*reader) Record{decodeFork}},
	TypeUnpin:         {"UNPIN", []func(*reader) Record{decodeUnpin}},
	TypeEnd:           {"END", []func(*reader) Record{decodeEnd}},
	TypeVerified:      {"VERIFIED", []func(*reader) Record{decodeVerified}},
	TypeForked:        {"FORKED", []func(*reader) Record{decodeForked}},

	typeUser:  {name: "USER"},
	typeACL:   {name: "ACL"},
	typeQuota: {name: "QUOTA"},
}

// String gives the type's name in capitals, as design and logs write it.
func (t Type) String() string {
	if k, ok := kinds[t]; ok {
		return k.name
	}
	return fmt.Sprintf("TYPE_%d", uint16(t))
}
