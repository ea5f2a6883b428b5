package shard

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"wadm/shard/ring"
)

// View is the agreed picture of the fleet: every instance computes who should
// own what from it and from nothing else. Views replace each other by
// compare-and-set of one record.
type View struct {
	// Rev is the record's revision; it is not part of the body.
	Rev         uint64      `json:"-"`
	Schema      int         `json:"schema"`
	Params      ring.Params `json:"params"`
	Fingerprint string      `json:"fingerprint"`
	// Members are sorted by id.
	Members []ViewMember `json:"members"`
	// Ramp is a change of weights that is under way; nil: there is none.
	Ramp *Ramp `json:"ramp,omitempty"`
	// Ended are the lives that the view before had and this one has no more, as far as
	// its proposer heard them.
	Ended []Ended `json:"ended,omitempty"`
	// Overrides place single keys, against the ring.
	Overrides map[Key]MemberID `json:"overrides,omitempty"`
	// Cause and Proposer are for people.
	Cause    string   `json:"cause,omitempty"`
	Proposer MemberID `json:"proposer,omitempty"`
}

// ViewMember is one member of a view.
type ViewMember struct {
	ID          MemberID    `json:"id"`
	Incarnation Incarnation `json:"incarnation"`
	// Units is its weight, which it has in full once the ramp has ended.
	Units int         `json:"units"`
	State MemberState `json:"state"`
}

// Ended tells of a life how long before the view was written it was last heard: an
// age, so that no clock of another machine is used. Who never heard that life
// itself reckons from when it sees the view, which is later and so errs to be safe.
type Ended struct {
	Incarnation Incarnation `json:"incarnation"`
	Silent      int64       `json:"silent_ms"`
}

// Ramp leads from the weights there were to those of the members, a part of the
// partitions at a time. A member that joins so gets its keys in several steps, and
// none of them moves twice.
type Ramp struct {
	// From are the weights there were, sorted by id.
	From []Weight `json:"from"`
	// Step out of Of parts of the partitions are placed by the new weights.
	Step int `json:"step"`
	Of   int `json:"of"`
}

// Weight is what a member had before a ramp.
type Weight struct {
	ID    MemberID `json:"id"`
	Units int      `json:"units"`
}

// Bounds of a view.
const (
	maxView        = 512 << 10
	maxViewMembers = 1000
	maxOverrides   = 4000
	maxRampSteps   = 64
)

// Encode gives the stored form.
func (v View) Encode() ([]byte, error) {
	if err := v.validate(); err != nil {
		return nil, fmt.Errorf("encode view: %w", err)
	}
	return encode("view", v)
}

// DecodeView reads a stored view; the error wraps [ErrBadRecord]. A view of a
// higher schema is read as far as it is understood: look at Schema first.
func DecodeView(b []byte) (View, error) {
	var v View
	if err := decode("view", b, maxView, &v); err != nil {
		return View{}, err
	}
	if err := v.validate(); err != nil {
		return View{}, fmt.Errorf("decode view: %w", err)
	}
	if len(v.Overrides) == 0 {
		v.Overrides = nil // as it would be stored
	}
	if len(v.Ended) == 0 {
		v.Ended = nil
	}
	return v, nil
}

func (v View) validate() error {
	if len(v.Members) > maxViewMembers || len(v.Overrides) > maxOverrides || len(v.Fingerprint) > maxText || len(v.Cause) > maxText {
		return fmt.Errorf("%w: too large", ErrBadRecord)
	}
	for i, m := range v.Members {
		switch {
		case !isID(string(m.ID)) || !isID(string(m.Incarnation)):
			return fmt.Errorf("%w: member %q", ErrBadRecord, clip(string(m.ID)))
		case i > 0 && v.Members[i-1].ID >= m.ID:
			return fmt.Errorf("%w: members not sorted or twice", ErrBadRecord)
		case m.Units < 0 || m.Units > maxUnits:
			return fmt.Errorf("%w: member %q has %d units", ErrBadRecord, clip(string(m.ID)), m.Units)
		case m.State != MemberActive && m.State != MemberDraining:
			return fmt.Errorf("%w: member %q is %q", ErrBadRecord, clip(string(m.ID)), clip(string(m.State)))
		}
	}
	if err := v.Ramp.validate(); err != nil {
		return err
	}
	if len(v.Ended) > maxViewMembers {
		return fmt.Errorf("%w: %d ended lives", ErrBadRecord, len(v.Ended))
	}
	for _, e := range v.Ended {
		if !isID(string(e.Incarnation)) || e.Silent < 0 || e.Silent > maxSettle {
			return fmt.Errorf("%w: ended life %q, silent for %d ms", ErrBadRecord, clip(string(e.Incarnation)), e.Silent)
		}
	}
	for k, id := range v.Overrides {
		if _, err := ParseKey(string(k)); err != nil || !isID(string(id)) {
			return fmt.Errorf("%w: override of %q", ErrBadRecord, clip(string(k)))
		}
	}
	return nil
}

func (r *Ramp) validate() error {
	if r == nil {
		return nil
	}
	if r.Of < 2 || r.Of > maxRampSteps || r.Step < 1 || r.Step >= r.Of || len(r.From) == 0 || len(r.From) > maxViewMembers {
		return fmt.Errorf("%w: ramp at %d of %d from %d members", ErrBadRecord, r.Step, r.Of, len(r.From))
	}
	for i, w := range r.From {
		switch {
		case !isID(string(w.ID)):
			return fmt.Errorf("%w: ramp from %q", ErrBadRecord, clip(string(w.ID)))
		case i > 0 && r.From[i-1].ID >= w.ID:
			return fmt.Errorf("%w: ramp not sorted or one twice", ErrBadRecord)
		case w.Units < 1 || w.Units > maxUnits:
			return fmt.Errorf("%w: ramp from %q with %d units", ErrBadRecord, clip(string(w.ID)), w.Units)
		}
	}
	return nil
}

// Member finds a member by id.
func (v View) Member(id MemberID) (ViewMember, bool) {
	i, ok := slices.BinarySearchFunc(v.Members, id, func(m ViewMember, id MemberID) int {
		return strings.Compare(string(m.ID), string(id))
	})
	if !ok {
		return ViewMember{}, false
	}
	return v.Members[i], true
}

// Has reports whether that life of a member is in the view.
func (v View) Has(id MemberID, i Incarnation) bool {
	m, ok := v.Member(id)
	return ok && m.Incarnation == i
}

// Ring builds the placement of the view. Draining members get nothing.
func (v View) Ring() (*ring.Ring, error) {
	over := make(map[string]string, len(v.Overrides))
	for k, id := range v.Overrides {
		if m, ok := v.Member(id); ok && m.State == MemberActive {
			over[string(k)] = string(id)
		}
	}
	ms := make([]ring.Member, 0, len(v.Members))
	for _, m := range v.Members {
		u := m.Units
		if m.State == MemberDraining {
			u = 0
		}
		ms = append(ms, ring.Member{ID: string(m.ID), Units: u})
	}
	r, err := ring.New(v.Params, ms, over)
	if err == nil && v.Ramp != nil {
		was := make([]ring.Member, len(v.Ramp.From))
		for i, w := range v.Ramp.From {
			was[i] = ring.Member{ID: string(w.ID), Units: w.Units}
		}
		var from *ring.Ring
		if from, err = ring.New(v.Params, was, nil); err == nil {
			r, err = ring.Ramp(from, r, v.Ramp.Step, v.Ramp.Of)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("ring of view %d: %w", v.Rev, err)
	}
	return r, nil
}

// weights are the active members' with any.
func (v View) weights() []Weight {
	var ws []Weight
	for _, m := range v.Members {
		if m.State == MemberActive && m.Units > 0 {
			ws = append(ws, Weight{m.ID, m.Units})
		}
	}
	return ws
}

// Reached tells how many of its units a member of the view has been given so far: fewer
// than all while a ramp leads there. It is for people; placement goes by [View.Ring].
func (v View) Reached(m ViewMember) float64 {
	if v.Ramp == nil {
		return float64(m.Units)
	}
	was := 0
	if i := slices.IndexFunc(v.Ramp.From, func(w Weight) bool { return w.ID == m.ID }); i >= 0 {
		was = v.Ramp.From[i].Units
	}
	// What is taken away is taken at once.
	return float64(min(was, m.Units)) + float64(max(0, m.Units-was)*v.Ramp.Step)/float64(v.Ramp.Of)
}

// setFrom sets the weight that a member had before the ramp.
func (r *Ramp) setFrom(w Weight) {
	i, ok := slices.BinarySearchFunc(r.From, w.ID, func(w Weight, id MemberID) int { return strings.Compare(string(w.ID), string(id)) })
	if ok {
		r.From[i] = w
		return
	}
	r.From = slices.Insert(r.From, i, w)
}

// trim drops a ramp that makes no difference any more: at its end, back where it
// began, or without anybody left to take from.
func (v *View) trim() {
	if v.Ramp == nil {
		return
	}
	now := v.weights()
	left := slices.ContainsFunc(v.Ramp.From, func(w Weight) bool {
		return slices.ContainsFunc(now, func(n Weight) bool { return n.ID == w.ID })
	})
	if v.Ramp.Step >= v.Ramp.Of || !left || slices.Equal(v.Ramp.From, now) {
		v.Ramp = nil
	}
}

func (v View) clone() View {
	v.Members = slices.Clone(v.Members)
	over := make(map[Key]MemberID, len(v.Overrides))
	maps.Copy(over, v.Overrides)
	v.Overrides = over
	if v.Ramp != nil {
		r := *v.Ramp
		r.From = slices.Clone(r.From)
		v.Ramp = &r
	}
	return v
}
