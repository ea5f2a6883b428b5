package shard

import (
	"encoding/json"
	"fmt"
	"time"
)

// ClaimState says what a claim's record announces.
type ClaimState string

// The states of a claim's record.
const (
	// Held: the record's incarnation owns the key at the record's sequence.
	Held ClaimState = "held"
	// Released: nobody owns the key; whoever should may take it at once.
	Released ClaimState = "released"
)

// Record is the body of a claim. The epoch is not in it: it is the sequence the
// ledger gives the record.
type Record struct {
	// Owner and Incarnation name who wrote the record.
	Owner       MemberID    `json:"owner"`
	Incarnation Incarnation `json:"incarnation"`
	State       ClaimState  `json:"state"`
	// View is the revision of the view the writer acted on; 0 without views.
	View uint64 `json:"view,omitempty"`
	// Settle is how long, in milliseconds from this record on, effects of earlier
	// owners may still arrive. A successor waits at least that long, even when
	// the record is a clean release.
	Settle int64 `json:"settle_ms,omitempty"`
	// Forget is not stored: the record need not be kept for long, because nobody
	// will ask for the key any more.
	Forget bool `json:"-"`
	// Reason is for people: why the record was written.
	Reason string `json:"reason,omitempty"`
}

// Bounds of a record's fields.
const (
	maxRecord = 4096
	maxReason = 256
	maxSettle = int64(time.Hour / time.Millisecond)
)

// Encode gives the stored form.
func (r Record) Encode() ([]byte, error) {
	if err := r.validate(); err != nil {
		return nil, fmt.Errorf("encode claim: %w", err)
	}
	b, err := json.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("encode claim: %w", err)
	}
	return b, nil
}

// DecodeRecord reads a stored claim. Unknown fields are ignored, so that a
// newer version may add some. The error wraps [ErrBadRecord].
func DecodeRecord(b []byte) (Record, error) {
	if len(b) > maxRecord {
		return Record{}, fmt.Errorf("decode claim: %w: %d bytes", ErrBadRecord, len(b))
	}
	var r Record
	if err := json.Unmarshal(b, &r); err != nil {
		return Record{}, fmt.Errorf("decode claim: %w: %w", ErrBadRecord, err)
	}
	if err := r.validate(); err != nil {
		return Record{}, fmt.Errorf("decode claim: %w", err)
	}
	return r, nil
}

func (r Record) validate() error {
	switch {
	case len(r.Owner) > maxMember || !isToken(string(r.Owner)):
		return fmt.Errorf("%w: owner %q", ErrBadRecord, clip(string(r.Owner)))
	case len(r.Incarnation) > maxMember || !isToken(string(r.Incarnation)):
		return fmt.Errorf("%w: incarnation %q", ErrBadRecord, clip(string(r.Incarnation)))
	case r.State != Held && r.State != Released:
		return fmt.Errorf("%w: state %q", ErrBadRecord, clip(string(r.State)))
	case r.Settle < 0 || r.Settle > maxSettle:
		return fmt.Errorf("%w: settle_ms %d", ErrBadRecord, r.Settle)
	case len(r.Reason) > maxReason:
		return fmt.Errorf("%w: reason of %d bytes", ErrBadRecord, len(r.Reason))
	}
	return nil
}

// Head is the last known record of a key.
type Head struct {
	Key Key
	// Seq is the record's stream sequence; 0: the key has no record.
	Seq    uint64
	Record Record
	// Bad is set when the stored bytes are not a record. The key can be claimed
	// over it, as over a holder that never answers.
	Bad bool
}

// HeldBy reports whether the head is a live claim of that incarnation.
func (h Head) HeldBy(i Incarnation) bool {
	return h.Seq > 0 && !h.Bad && h.Record.State == Held && h.Record.Incarnation == i
}
