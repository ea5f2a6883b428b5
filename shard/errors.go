package shard

import "errors"

var (
	// ErrFenced means that the condition of a write did not hold, because a newer record of
	// the key exists. As the cause of an owner's context: a newer claim exists,
	// nothing may be written or acknowledged any more.
	ErrFenced = errors.New("fenced by a newer record")
	// ErrBusy means that the write was refused for a passing reason and is not stored. It may be repeated at once.
	ErrBusy = errors.New("store is busy with this key")
	// ErrUnknownOutcome means that the write may be stored, now or later, or not at all.
	ErrUnknownOutcome = errors.New("outcome of the write is unknown")
	// ErrHandOver is the cause of an owner's context when the claim is to be given
	// up on purpose. The claim is still valid: state may be saved before returning.
	ErrHandOver = errors.New("claim is to be handed over")
	// ErrUnderWay is returned by an owner, whatever else it returns, that cannot tell
	// whether its last effects have arrived. The next owner waits for them.
	ErrUnderWay = errors.New("last effects may still be under way")
	// ErrSuperseded means that another instance of the same name was started later and has its place.
	ErrSuperseded = errors.New("superseded by another instance")
	// ErrQuarantine means that it is too early for an effect; the previous owner's last ones
	// may still be under way.
	ErrQuarantine = errors.New("previous owner's effects may still be under way")
	// ErrUnhealthy means that the ledger has not answered recently enough for this instance to
	// be sure that it still owns anything.
	ErrUnhealthy = errors.New("ledger has not answered recently")
	// ErrStuck means that an owner went on long after it was told to stop. The
	// process has to end: nothing else takes its hands off the key.
	ErrStuck = errors.New("an owner does not stop")
	// ErrNotReady means that the instance is still starting.
	ErrNotReady = errors.New("not ready yet")
	// ErrForeignRing means that the agreed view is placed by another build or with other
	// parameters. Following it would claim keys that are others'.
	ErrForeignRing = errors.New("the view's ring fingerprint is not this instance's")
	// ErrForeignView means that the agreed view is of another schema than this build's.
	ErrForeignView = errors.New("the view's schema is not this instance's")
	// ErrBadKey means that the key is not two tokens of the allowed alphabet.
	ErrBadKey = errors.New("key not allowed")
	// ErrBadRecord means that a stored or received record cannot be understood.
	ErrBadRecord = errors.New("record not understood")
)
