package ring

import "fmt"

// Ramp gives a ring on the way from one ring to another: of the partitions, step
// out of of are placed by to, the others still by from. A partition moves once, when
// its turn comes, and straight to where it will stay: however many members gain or
// lose weight at once, the steps together move no more than one leap would.
//
// Whoever has no weight in to gets nothing, whatever the step: a member that is lost
// or drains on the way is replaced at once. Members and overrides are those of to.
func Ramp(from, to *Ring, step, of int) (*Ring, error) {
	switch {
	case from.params != to.params:
		return nil, fmt.Errorf("%w: a ramp between two sets of them", ErrParams)
	case of < 1 || step < 0 || step > of:
		return nil, fmt.Errorf("%w: step %d of %d", ErrParams, step, of)
	case len(from.owners) == 0 || len(to.owners) == 0:
		return to, nil
	}
	at := make(map[string]uint16, len(to.members))
	for i, m := range to.members {
		if m.Units > 0 {
			at[m.ID] = uint16(i)
		}
	}
	r := &Ring{params: to.params, members: to.members, overrides: to.overrides, owners: make([]uint16, len(to.owners))}
	for p := range r.owners {
		r.owners[p] = to.owners[p]
		if i, ok := at[from.members[from.owners[p]].ID]; ok && p%of >= step {
			r.owners[p] = i
		}
	}
	r.digest = r.sum()
	return r, nil
}
