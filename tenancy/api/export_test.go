package api

// ParseSubject lets the fuzz test see what a subject is read as.
func ParseSubject(subject, prefix string, multi bool) (tenant, lattice, op, app string, err error) {
	t, err := parseSubject(subject, prefix, multi)
	return t.tenant, t.lattice, string(t.op), t.app, err
}

// DecodeVersion, DecodeNothing and Encode let tests see single bodies.
var (
	DecodeVersion = decodeVersion
	DecodeNothing = decodeNothing
	Encode        = encode
)

// Lanes lets tests submit jobs of their own.
type Lanes = lanes

// NewLanes, Submit and RunLanes are those of the server.
var (
	NewLanes = newLanes
	Submit   = (*lanes).submit
	RunLanes = (*lanes).run
)
