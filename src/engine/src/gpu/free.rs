//! How much of an adapter's memory is free: what its driver tells, where it tells.
//!
//! - Vulkan: budget less usage of the heaps that are the device's own (`VK_EXT_memory_budget`).
//! - DX12: budget less usage of the local segment (`IDXGIAdapter3::QueryVideoMemoryInfo`).
//! - Metal: the recommended working set, less what this program has (`MTLDevice`).

/// Bytes that this program can still get of the adapter's own memory.
pub(super) fn free_memory(adapter: &wgpu::Adapter) -> Option<u64> {
    #[cfg(not(target_vendor = "apple"))]
    if let Some(free) = vulkan(adapter) {
        return Some(free);
    }
    #[cfg(windows)]
    return dx12(adapter);
    #[cfg(target_vendor = "apple")]
    return metal(adapter);
    #[cfg(not(any(windows, target_vendor = "apple")))]
    None
}

#[cfg(not(target_vendor = "apple"))]
fn vulkan(adapter: &wgpu::Adapter) -> Option<u64> {
    use ash::{ext, vk};

    // SAFETY: the adapter is looked at, and nothing of it outlives this function.
    let adapter = unsafe { adapter.as_hal::<wgpu::hal::api::Vulkan>() }?;
    let instance = adapter.shared_instance();
    let told = adapter.physical_device_capabilities().supports_extension(ext::memory_budget::NAME);
    if !told || instance.instance_api_version() < vk::API_VERSION_1_1 {
        return None;
    }
    let mut budget = vk::PhysicalDeviceMemoryBudgetPropertiesEXT::default();
    let mut all = vk::PhysicalDeviceMemoryProperties2::default().push_next(&mut budget);
    // SAFETY: the device belongs to this instance, which has the function as of 1.1; the structures live on until it returns.
    unsafe { instance.raw_instance().get_physical_device_memory_properties2(adapter.raw_physical_device(), &mut all) };
    let heaps = all.memory_properties.memory_heaps;
    let count = all.memory_properties.memory_heap_count as usize;
    let own = |&heap: &usize| heaps[heap].flags.contains(vk::MemoryHeapFlags::DEVICE_LOCAL);
    (0..count).filter(own).map(|heap| budget.heap_budget[heap].saturating_sub(budget.heap_usage[heap])).max()
}

#[cfg(windows)]
fn dx12(adapter: &wgpu::Adapter) -> Option<u64> {
    // SAFETY: the adapter is looked at, and nothing of it outlives this function.
    let adapter = unsafe { adapter.as_hal::<wgpu::hal::api::Dx12>() }?;
    // The default is the local segment: the adapter's own memory.
    let memory = adapter.raw_adapter().query_video_memory_info(Default::default()).ok()?;
    Some(memory.Budget.saturating_sub(memory.CurrentUsage))
}

#[cfg(target_vendor = "apple")]
fn metal(adapter: &wgpu::Adapter) -> Option<u64> {
    use objc2_metal::MTLDevice;

    // SAFETY: the adapter is looked at, and nothing of it outlives this function.
    let adapter = unsafe { adapter.as_hal::<wgpu::hal::api::Metal>() }?;
    let device = adapter.raw_device();
    Some(device.recommendedMaxWorkingSetSize().saturating_sub(device.currentAllocatedSize() as u64))
}
