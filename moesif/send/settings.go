package send

import "time"

// Settings is what a queue and its sender need to know. It is comparable: a queue takes what has changed.
type Settings struct {
	Endpoint      string // base URL of the collector, without a trailing slash
	ApplicationID string // secret; never logged

	MaxEvents, MaxBytes int           // what the queue holds in memory at most
	DropNewest          bool          // without room the new event is dropped; else the oldest ones
	SpoolDir            string        // where events wait on disk, in a folder for each application; "" for memory only
	SpoolFolder         string        // that folder itself, in place of the application's below SpoolDir
	SpoolMaxBytes       int64         // room there
	SpoolMaxAge         time.Duration // at which an event that waits there is given up
	BatchEvents         int           // events in one upload at most
	FlushAfter          time.Duration // age of the oldest waiting event at which a batch leaves though it is not full

	ConnectTimeout time.Duration
	SendTimeout    time.Duration // for one upload, from its start to the answer
	Keepalive      time.Duration // 0: no connection is kept
	Compress       bool
	Debug          bool // log every upload
}

// Env is what all queues of a process share.
type Env struct {
	Metrics   *Metrics
	Notice    func(cause, text string)         // an error line, at most once a minute per cause
	Tags      func(configTag, rulesTag string) // after each upload, the versions that the collector's answer names; nil: nobody asks
	UserAgent string
	HTTP      HTTPOptions
}
