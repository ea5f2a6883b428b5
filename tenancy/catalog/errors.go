package catalog

import "errors"

// The errors of the catalog. Whatever is none of these comes from the storage
// and says that a change may not have happened.
var (
	// ErrNotFound: there is no application of that name.
	ErrNotFound = errors.New("application not found")
	// ErrNoVersion: the application has no such version.
	ErrNoVersion = errors.New("version not found")
	// ErrVersionExists: the application already has a version of that name.
	ErrVersionExists = errors.New("version already exists")
	// ErrUndecodable: the stored record cannot be read. Nothing was changed. The
	// text says which key; an operator has to repair or remove it.
	ErrUndecodable = errors.New("stored record cannot be decoded")
	// ErrTooLarge: the manifest or the list of versions does not fit into one
	// stored value.
	ErrTooLarge = errors.New("too large to store")
	// ErrLost: the bucket is not there any more. What should run is not known, which
	// is not the same as nothing.
	ErrLost = errors.New("the catalog of applications is gone: restore its bucket from a backup")
	// ErrConflict: others were faster until the retries or the time ran out.
	ErrConflict = errors.New("too many concurrent changes")
)

// errAmbiguous marks a write that may or may not be stored.
var errAmbiguous = errors.New("outcome of the write is unknown")
