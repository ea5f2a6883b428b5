// Package ring computes which member should own a key. It is pure placement: a
// [Ring] is an immutable value built from the parameters, members and overrides
// of one agreed view, and equal inputs give equal rings on every instance.
//
// Keys hash to a fixed number of partitions; partitions are spread over virtual
// members by consistent hashing with bounded loads. Weight is a count of units:
// each unit is one virtual member, so a member that grows by one unit takes
// about one unit's share from the others and little else moves.
//
// The bound is on partitions per unit, not on keys and not on work: a busy key
// stays as busy wherever it lies.
//
// Placement depends on the library's version and on every parameter. Both are
// part of [Params.Fingerprint], together with a digest of a table computed by
// this very build; instances with different fingerprints must not share a ring.
package ring

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/buraksezer/consistent"
	"github.com/cespare/xxhash/v2"
)

// Algorithm and Hash name what this build places with.
const (
	Algorithm = "consistent/1.1.0"
	Hash      = "xxh64"
)

// FullUnits is the weight of an ordinary member.
const FullUnits = 4

// Bounds of what a ring is built from.
const (
	maxPartitions = 1 << 16
	maxReplicas   = 1000
	maxUnits      = 64
	maxMembers    = 1000
)

var (
	// ErrParams means that the parameters cannot make a ring, or this build cannot follow them.
	ErrParams = errors.New("ring parameters not usable")
	// ErrMembers means that the members cannot make a ring.
	ErrMembers = errors.New("ring members not usable")
)

// Params are the numbers a ring depends on besides its members.
type Params struct {
	// Algorithm and Hash must be this build's.
	Algorithm string `json:"algorithm"`
	Hash      string `json:"hash"`
	// Partitions is the number of hash buckets, 1 to 65536. Changing it moves nearly every key.
	Partitions int `json:"partitions"`
	// Replicas is the number of points of each unit, 1 to 1000. Fewer move more
	// than needed when a member comes or goes.
	Replicas int `json:"replicas"`
	// Load bounds a unit's partitions to this multiple of the mean, 1 to 10.
	// Close to 1 moves more than needed; large ones allow unequal shares.
	Load float64 `json:"load"`
}

// DefaultParams are the parameters of a new fleet.
func DefaultParams() Params {
	return Params{Algorithm: Algorithm, Hash: Hash, Partitions: 4096, Replicas: 100, Load: 1.25}
}

// Validate reports why the parameters cannot make a ring; the error wraps ErrParams.
func (p Params) Validate() error {
	switch {
	case p.Algorithm != Algorithm || p.Hash != Hash:
		return fmt.Errorf("%w: placement by %.40q and %.40q, this build has %q and %q", ErrParams, p.Algorithm, p.Hash, Algorithm, Hash)
	case p.Partitions < 1 || p.Partitions > maxPartitions:
		return fmt.Errorf("%w: %d partitions", ErrParams, p.Partitions)
	case p.Replicas < 1 || p.Replicas > maxReplicas:
		return fmt.Errorf("%w: %d replicas", ErrParams, p.Replicas)
	case !(p.Load >= 1 && p.Load <= 10):
		return fmt.Errorf("%w: load %v", ErrParams, p.Load)
	}
	return nil
}

// Fingerprint names everything placement depends on besides the members: two
// instances with equal fingerprints compute equal rings.
func (p Params) Fingerprint() string {
	return fmt.Sprintf("%s-%s-p%d-r%d-l%s-%08x", p.Algorithm, p.Hash, p.Partitions, p.Replicas,
		strconv.FormatFloat(p.Load, 'g', -1, 64), uint32(probe()))
}

// probe is the digest of one fixed table. A library or a compiler that places
// otherwise under the same name shows here.
var probe = sync.OnceValue(func() uint64 {
	r, err := New(DefaultParams(), []Member{{"a", 4}, {"b", 4}, {"c", 2}}, nil)
	if err != nil {
		return 0
	}
	return r.Digest()
})

// Member is one member of a ring and its weight; 0 units: it gets nothing.
type Member struct {
	ID    string
	Units int
}

// Ring maps every key to a member. It never changes; use it from any goroutine.
type Ring struct {
	params    Params
	members   []Member
	owners    []uint16 // by partition: index into members
	overrides map[string]string
	digest    uint64
}

// New builds a ring. Order of members does not matter. Without any unit the ring
// is empty and owns nothing. Overrides of absent members have no effect. The
// error wraps ErrParams or ErrMembers.
func New(p Params, members []Member, overrides map[string]string) (*Ring, error) {
	if err := p.Validate(); err != nil {
		return nil, err
	}
	if len(members) > maxMembers {
		return nil, fmt.Errorf("%w: %d of them", ErrMembers, len(members))
	}
	ms := slices.Clone(members)
	slices.SortFunc(ms, func(a, b Member) int { return strings.Compare(a.ID, b.ID) })
	var units []consistent.Member
	present := make(map[string]bool, len(ms))
	for i, m := range ms {
		switch {
		case m.ID == "":
			return nil, fmt.Errorf("%w: one without an id", ErrMembers)
		case present[m.ID]:
			return nil, fmt.Errorf("%w: %.80q twice", ErrMembers, m.ID)
		case m.Units < 0 || m.Units > maxUnits:
			return nil, fmt.Errorf("%w: %.80q has %d units", ErrMembers, m.ID, m.Units)
		}
		present[m.ID] = true
		for u := range m.Units {
			units = append(units, unit{name: m.ID + "#" + strconv.Itoa(u), member: uint16(i)})
		}
	}
	r := &Ring{params: p, members: ms, overrides: map[string]string{}}
	for k, id := range overrides {
		if present[id] {
			r.overrides[k] = id
		}
	}
	if len(units) > 0 {
		// The library builds its whole table at once; only the table is kept.
		c := consistent.New(units, consistent.Config{
			Hasher: hasher{}, PartitionCount: p.Partitions, ReplicationFactor: p.Replicas, Load: p.Load,
		})
		r.owners = make([]uint16, p.Partitions)
		for i := range r.owners {
			u, ok := c.GetPartitionOwner(i).(unit)
			if !ok {
				return nil, fmt.Errorf("%w: partition %d has no owner", ErrMembers, i)
			}
			r.owners[i] = u.member
		}
	}
	r.digest = r.sum()
	return r, nil
}

type unit struct {
	name   string
	member uint16
}

func (u unit) String() string { return u.name }

type hasher struct{}

func (hasher) Sum64(b []byte) uint64 { return xxhash.Sum64(b) }

// Owner gives the member that should own the key; false: nobody should.
func (r *Ring) Owner(key string) (string, bool) {
	if id, ok := r.overrides[key]; ok {
		return id, true
	}
	if len(r.owners) == 0 {
		return "", false
	}
	return r.members[r.owners[r.Partition(key)]].ID, true
}

// Partition gives the key's hash bucket. The key's parts are separated by a zero
// byte in what is hashed, whatever separates them in the key.
func (r *Ring) Partition(key string) int {
	var buf [256]byte
	b := append(buf[:0], key...)
	for i, c := range b {
		if c == '.' {
			b[i] = 0
		}
	}
	return int(xxhash.Sum64(b) % uint64(r.params.Partitions))
}

// Digest is a hash of the whole mapping, overrides included: instances that
// follow one view compare it.
func (r *Ring) Digest() uint64 { return r.digest }

// Shares counts partitions by member; members without any are listed with 0.
func (r *Ring) Shares() map[string]int {
	s := make(map[string]int, len(r.members))
	for _, m := range r.members {
		s[m.ID] = 0
	}
	for _, o := range r.owners {
		s[r.members[o].ID]++
	}
	return s
}

func (r *Ring) sum() uint64 {
	d := xxhash.New()
	var n [8]byte
	for _, m := range r.members {
		_, _ = d.WriteString(m.ID)
		_, _ = d.Write([]byte{0})
	}
	for _, o := range r.owners {
		binary.LittleEndian.PutUint16(n[:2], o)
		_, _ = d.Write(n[:2])
	}
	for _, k := range slices.Sorted(maps.Keys(r.overrides)) {
		_, _ = d.WriteString(k)
		_, _ = d.Write([]byte{0})
		_, _ = d.WriteString(r.overrides[k])
		_, _ = d.Write([]byte{0})
	}
	return d.Sum64()
}

// Movement compares two rings of equal partition count.
type Movement struct {
	// Partitions is the total, Moved those whose owner differs.
	Partitions, Moved int
	// Least is what had to move for the shares before to become those after,
	// whatever the placement: the sum of what members lost.
	Least int
}

// Compare tells what moves when from is replaced by to.
func Compare(from, to *Ring) (Movement, error) {
	if from.params.Partitions != to.params.Partitions {
		return Movement{}, fmt.Errorf("%w: %d and %d partitions", ErrParams, from.params.Partitions, to.params.Partitions)
	}
	m := Movement{Partitions: from.params.Partitions}
	had := map[string]int{}
	for p := range m.Partitions {
		a, b := from.at(p), to.at(p)
		had[a]++
		had[b]--
		if a != b {
			m.Moved++
		}
	}
	for _, n := range had {
		m.Least += max(0, n)
	}
	return m, nil
}

func (r *Ring) at(p int) string {
	if len(r.owners) == 0 {
		return ""
	}
	return r.members[r.owners[p]].ID
}
