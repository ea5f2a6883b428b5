package shard

import (
	"encoding/json"
	"fmt"
	"time"
)

// Schema is the version of the records' meaning. An instance that meets a view of
// another one owns nothing: it could not follow what the others agree on.
const Schema = 1

// kind is what instances have to have in common to share a view: the ring they
// compute, and what they mean by their records.
type kind struct {
	fingerprint string
	schema      int
}

func (m Member) kind() kind { return kind{m.Fingerprint, m.Schema} }

func (v View) kind() kind { return kind{v.Fingerprint, v.Schema} }

// MemberState says what a member wants to be.
type MemberState string

// The states of a member.
const (
	// MemberActive: it takes its share.
	MemberActive MemberState = "active"
	// MemberDraining: it gives everything up and takes nothing.
	MemberDraining MemberState = "draining"
)

// Member is what an instance says about itself. The record is refreshed while
// the instance lives and expires some time after; it is a hint, no lease.
type Member struct {
	ID          MemberID    `json:"id"`
	Incarnation Incarnation `json:"incarnation"`
	// Started is for people; no decision uses it.
	Started time.Time `json:"started"`
	// Version of the program, for people.
	Version string `json:"version,omitempty"`
	Schema  int    `json:"schema"`
	// Fingerprint is that of the ring this instance would compute.
	Fingerprint string `json:"fingerprint"`
	// Units is the weight it wants; 4 is ordinary.
	Units int         `json:"units"`
	State MemberState `json:"state"`
	// Held is the number of keys it owns.
	Held int `json:"held"`
}

// MemberChange is one change of the membership records.
type MemberChange struct {
	Member Member
	Rev    uint64
	// Gone: the record of Member.ID is no more. Left: it was removed by the
	// member itself, as its last act; otherwise it expired.
	Gone, Left bool
}

// Suspect names a life that has fallen silent.
type Suspect struct {
	ID          MemberID    `json:"id"`
	Incarnation Incarnation `json:"incarnation"`
}

// Beat is what an instance tells the others several times a second.
type Beat struct {
	ID          MemberID    `json:"id"`
	Incarnation Incarnation `json:"incarnation"`
	// View and Digest tell which view the sender follows and which table it
	// computed from it.
	View   uint64 `json:"view"`
	Digest uint64 `json:"digest,string"`
	// Unhealthy: the ledger does not answer the sender.
	Unhealthy bool `json:"unhealthy,omitempty"`
	Draining  bool `json:"draining,omitempty"`
	Held      int  `json:"held"`
	// Silent is the sender's vote: whom it does not hear either.
	Silent []Suspect `json:"silent,omitempty"`
}

// Bounds of what is received.
const (
	maxMemberRecord = 8 << 10
	maxText         = 256
	maxUnits        = 64
)

// Encode gives the stored form.
func (m Member) Encode() ([]byte, error) {
	if err := m.validate(); err != nil {
		return nil, fmt.Errorf("encode member: %w", err)
	}
	return encode("member", m)
}

// DecodeMember reads a stored record; the error wraps [ErrBadRecord].
func DecodeMember(b []byte) (Member, error) {
	var m Member
	if err := decode("member", b, maxMemberRecord, &m); err != nil {
		return Member{}, err
	}
	if err := m.validate(); err != nil {
		return Member{}, fmt.Errorf("decode member: %w", err)
	}
	return m, nil
}

func (m Member) validate() error {
	switch {
	case !isID(string(m.ID)) || !isID(string(m.Incarnation)):
		return fmt.Errorf("%w: id %q incarnation %q", ErrBadRecord, clip(string(m.ID)), clip(string(m.Incarnation)))
	case len(m.Version) > maxText || len(m.Fingerprint) > maxText:
		return fmt.Errorf("%w: version or fingerprint too long", ErrBadRecord)
	case m.Units < 1 || m.Units > maxUnits:
		return fmt.Errorf("%w: %d units", ErrBadRecord, m.Units)
	case m.State != MemberActive && m.State != MemberDraining:
		return fmt.Errorf("%w: state %q", ErrBadRecord, clip(string(m.State)))
	case m.Started.Year() < 0 || m.Started.Year() > 9999:
		return fmt.Errorf("%w: started in year %d", ErrBadRecord, m.Started.Year())
	}
	return nil
}

// Encode gives the sent form.
func (b Beat) Encode() ([]byte, error) {
	if err := b.validate(); err != nil {
		return nil, fmt.Errorf("encode beat: %w", err)
	}
	return encode("beat", b)
}

// DecodeBeat reads a received beat; the error wraps [ErrBadRecord].
func DecodeBeat(p []byte) (Beat, error) {
	var b Beat
	if err := decode("beat", p, maxView, &b); err != nil {
		return Beat{}, err
	}
	if err := b.validate(); err != nil {
		return Beat{}, fmt.Errorf("decode beat: %w", err)
	}
	if len(b.Silent) == 0 {
		b.Silent = nil // as it would be sent
	}
	return b, nil
}

func (b Beat) validate() error {
	if !isID(string(b.ID)) || !isID(string(b.Incarnation)) {
		return fmt.Errorf("%w: id %q incarnation %q", ErrBadRecord, clip(string(b.ID)), clip(string(b.Incarnation)))
	}
	if len(b.Silent) > maxViewMembers {
		return fmt.Errorf("%w: %d suspects", ErrBadRecord, len(b.Silent))
	}
	for _, s := range b.Silent {
		if !isID(string(s.ID)) || !isID(string(s.Incarnation)) {
			return fmt.Errorf("%w: suspect %q", ErrBadRecord, clip(string(s.ID)))
		}
	}
	return nil
}

func isID(s string) bool { return len(s) <= maxMember && isToken(s) }

func encode(what string, v any) ([]byte, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("encode %s: %w", what, err)
	}
	return b, nil
}

func decode(what string, b []byte, most int, v any) error {
	if len(b) > most {
		return fmt.Errorf("decode %s: %w: %d bytes", what, ErrBadRecord, len(b))
	}
	if err := json.Unmarshal(b, v); err != nil {
		return fmt.Errorf("decode %s: %w: %w", what, ErrBadRecord, err)
	}
	return nil
}
