package catalog

// What the fuzz tests of stored records look at.
var (
	DecodeForeign = decodeForeign
	DecodeHead    = decodeHead
)

// Encode writes a head as it is stored.
func (h *head) Encode() ([]byte, error) { return h.encode() }
