// Package torch is a thin binding to libtorch: tensors are values, operations are methods.
//
// A small shared library (folder shim) is compiled on the user's machine against their libtorch and
// opened with dlopen, so building Go code needs no libtorch. One C function calls any operator
// through libtorch's own dispatcher; one typed Go line per operator names it and its arguments.
//
// # Memory
//
// Tensors live in scopes. Run opens the outermost one; Scope and Scopes open nested ones and free
// every tensor born inside but those they return. There are no finalizers. Own takes a tensor out of
// all scopes (weights), Drop frees it. A tensor that is used after its scope ended is a clear panic,
// never a crash.
//
//	err := torch.Run(func() {
//		y := torch.Scope(func() torch.Tensor { return x.MatMul(w).ReLU() })
//		fmt.Println(y.Sum().Item())
//	})
//
// # Threads
//
// A scope ties the goroutine to its OS thread until it ends: gradient mode and OpenMP teams belong to
// threads. A goroutine that is started inside a scope has no scope of its own; it calls Run.
//
// # Errors
//
// Operators panic with *Error, so that a forward pass reads like its formula. Run recovers it and
// returns it.
package torch
