/* The only file that knows CLBlast. */
#include "cl/internal.h" /* first: it says which OpenCL version is meant */

#include <clblast_c.h>
#include <stdio.h>

struct blas_error {
    CLBlastStatusCode code;
    const char *text;
};

static const struct blas_error blas_errors[] = {
    {CLBlastNotImplemented, "routine not implemented"},
    {CLBlastInvalidMatrixA, "matrix A is not a buffer"},
    {CLBlastInvalidMatrixB, "matrix B is not a buffer"},
    {CLBlastInvalidMatrixC, "matrix C is not a buffer"},
    {CLBlastInvalidDimension, "m, n and k must be larger than zero"},
    {CLBlastInvalidLeadDimA, "the leading dimension of A is smaller than its rows"},
    {CLBlastInvalidLeadDimB, "the leading dimension of B is smaller than its rows"},
    {CLBlastInvalidLeadDimC, "the leading dimension of C is smaller than its rows"},
    {CLBlastInsufficientMemoryA, "the buffer of A is too small"},
    {CLBlastInsufficientMemoryB, "the buffer of B is too small"},
    {CLBlastInsufficientMemoryC, "the buffer of C is too small"},
    {CLBlastInsufficientMemoryTemp, "the temporary buffer is too small"},
    {CLBlastInvalidLocalMemUsage, "its tuned parameters need more local memory than there is"},
    {CLBlastDatabaseError, "the device is not in its database"},
    {CLBlastUnexpectedError, "unexpected error"},
    {CLBlastUnknownError, "unknown error"},
};

static const char *blas_error_text(CLBlastStatusCode code) {
    for (size_t i = 0; i < sizeof blas_errors / sizeof *blas_errors; i++)
        if (blas_errors[i].code == code)
            return blas_errors[i].text;
    return thaw_cl_error_name((cl_int)code); /* the rest are OpenCL's own */
}

static thaw_status fail_blas(thaw_device *device, const struct thaw_gemm_call *call,
                             CLBlastStatusCode code) {
    thaw_status status =
        thaw_fail(THAW_ERROR_RUNTIME, "CLBlast GEMM %s%s, m = %zu, n = %zu, k = %zu: %s",
                  call->transpose_a ? "T" : "N", call->transpose_b ? "T" : "N", call->m, call->n,
                  call->k, blas_error_text(code));
    if (code == CLBlastTempBufferAllocFailure || code == CLBlastOpenCLOutOfResources)
        return thaw_hint(status, "the device \"%s\" ran out of memory: try a smaller batch",
                         device->info.name);
    return status;
}

/* CLBlast launches several kernels but hands out the event of the last, so a marker stands before
 * the first. */
static thaw_status profile_begin(thaw_device *device, const struct thaw_gemm_call *call,
                                 thaw_kernel **ret_kernel, cl_event *ret_begin) {
    char shape[128];
    snprintf(shape, sizeof shape, "m=%zu n=%zu k=%zu %s%s", call->m, call->n, call->k,
             call->transpose_a ? "T" : "N", call->transpose_b ? "T" : "N");
    thaw_kernel *kernel = NULL;
    THAW_TRY(thaw_kernel_get_pseudo(device, "clblast", "sgemm", shape, &kernel));
    cl_event begin = NULL;
    THAW_TRY(thaw_cl_check(clEnqueueMarkerWithWaitList(device->queue, 0, NULL, &begin),
                           "clEnqueueMarkerWithWaitList"));
    *ret_kernel = kernel;
    *ret_begin = begin;
    return THAW_OK;
}

thaw_status thaw_blas_gemm(thaw_device *device, const struct thaw_gemm_call *call) {
    if (call->m == 0 || call->n == 0)
        return THAW_OK;
    thaw_kernel *kernel = NULL;
    cl_event begin = NULL, end = NULL;
    if (device->profiling)
        THAW_TRY(profile_begin(device, call, &kernel, &begin));
    cl_command_queue queue = device->queue;
    CLBlastStatusCode code = CLBlastSgemm(
        CLBlastLayoutRowMajor, call->transpose_a ? CLBlastTransposeYes : CLBlastTransposeNo,
        call->transpose_b ? CLBlastTransposeYes : CLBlastTransposeNo, call->m, call->n, call->k,
        call->alpha, call->a, call->a_offset, call->a_stride, call->b, call->b_offset,
        call->b_stride, call->beta, call->c, call->c_offset, call->c_stride, &queue,
        device->profiling ? &end : NULL);
    device->uses_clblast = true;
    if (code != CLBlastSuccess) {
        if (begin)
            clReleaseEvent(begin);
        return fail_blas(device, call, code);
    }
    return device->profiling ? thaw_profile_add(device, kernel, begin, end) : THAW_OK;
}

/* CLBlast keeps compiled programs, and with them the context, in a process-wide cache. Clearing it
 * costs other open devices a recompilation, never their results. */
void thaw_blas_finish(thaw_device *device) {
    if (device->uses_clblast)
        CLBlastClearCache();
}
