package nginx

import "time"

// nginx's limits for clients, as Kong leaves them.
const (
	ClientTimeout  = 60 * time.Second  // client_header_timeout, client_body_timeout and send_timeout
	MaxHeaderLine  = 8 << 10           // in bytes, one of the large_client_header_buffers; the request line too
	MaxHeaderBytes = 4 * MaxHeaderLine // all of them
)

// nginx's own status numbers for requests that it refuses. Clients see a 400.
const (
	StatusHeaderTooLarge = 494
	StatusToHTTPS        = 497
)
