package control

import "time"

// Age has everything that c remembers happen earlier by d.
func Age(c *Client, d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sent, c.lost = c.sent.Add(-d), c.lost.Add(-d)
}

// Decode runs every decoder of answers over data.
func Decode(data []byte) {
	r, err := decodeReply(data)
	if err != nil {
		return
	}
	_, _ = decodePing(data)
	_, _ = decodeInventory(r.Response, "h")
	_, _ = decodeLinks(r.Response)
	_, _, _ = decodeConfig(r.Response)
}

// IsTraceParent exposes the check of the W3C form.
var IsTraceParent = isTraceParent
