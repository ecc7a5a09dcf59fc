// Package send takes encoded events to a collector: a Queue holds those of one application and sends them in batches, in
// order, until the collector has them.
package send
