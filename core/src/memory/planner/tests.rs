//! The planner on costs that are made up.

use super::*;

const MIB: u64 = 1 << 20;

/// Bytes and seconds as lines over the images, without recomputation and with it.
struct Made {
    bytes: [[u64; 2]; 2],
    seconds: [[f64; 2]; 2],
    /// More bytes do not fit.
    room: u64,
    asked: Vec<(bool, usize)>,
}

impl Measure for Made {
    fn step(&mut self, checkpointing: bool, images: usize) -> Result<Option<Cost>> {
        self.asked.push((checkpointing, images));
        let ([fixed, image], [step, each]) =
            (self.bytes[usize::from(checkpointing)], self.seconds[usize::from(checkpointing)]);
        let cost = Cost { bytes: (fixed + image * images as u64) * MIB, seconds: step + each * images as f64 };
        Ok((cost.bytes <= self.room * MIB).then_some(cost))
    }
}

/// A processor: the time of an image does not depend on how many there are.
fn processor() -> Made {
    Made { bytes: [[100, 600], [100, 200]], seconds: [[0.0, 2.0], [0.0, 2.6]], room: u64::MAX >> 20, asked: Vec::new() }
}

/// 5 GiB for tensors; 120 MiB of them for what is kept.
fn demand(batch: Option<usize>) -> Demand {
    let (budget, outside, kept) = (6144 * MIB, 1024 * MIB, 120 * MIB);
    Demand { batch, images: 10_000, budget, outside, kept, waiting: 0, levels: vec![false, true] }
}

/// Batch, micro-batch, recomputation.
fn chosen(demand: &Demand, made: &mut Made) -> (usize, usize, bool) {
    let choice = choose(demand, made).unwrap();
    let level = &choice.levels[choice.chosen];
    assert!(choice.micro_batch <= level.most && level.bytes(choice.micro_batch) <= choice.limit, "{choice:?}");
    (choice.batch, choice.micro_batch, level.checkpointing)
}

#[test]
fn a_batch_that_fits_runs_at_once_and_nothing_else_is_measured() {
    let mut made = processor();
    assert_eq!(chosen(&demand(Some(7)), &mut made), (7, 7, false));
    assert_eq!(made.asked, [(false, 1), (false, 2)], "two images took longer than a second, so not four");
    let mut made = processor();
    assert_eq!(chosen(&demand(Some(1)), &mut made), (1, 1, false));
    assert_eq!(made.asked, [(false, 1)]);
}

#[test]
fn the_largest_micro_batch_that_fits_is_taken_and_parts_are_alike() {
    // (5120 - 120 - 100) / (600 * 1.05) = 7.8; with recomputation 23.3, but each image takes longer.
    assert_eq!(chosen(&demand(Some(256)), &mut processor()), (256, 7, false));
    assert_eq!(chosen(&demand(Some(8)), &mut processor()), (8, 4, false));
    let on = Demand { levels: vec![true], ..demand(Some(256)) };
    assert_eq!(chosen(&on, &mut processor()), (256, 22, true), "12 parts of at most 22 images");
}

#[test]
fn the_faster_level_is_taken() {
    // Few images leave a GPU idle: 0.01 + 0.1 / 3 s an image against 0.0135 + 0.12 / 9.
    let mut gpu = Made { seconds: [[0.1, 0.01], [0.12, 0.0135]], bytes: [[100, 1500], [100, 500]], ..processor() };
    assert_eq!(chosen(&demand(Some(256)), &mut gpu), (256, 9, true));
    assert_eq!(gpu.asked, [(false, 1), (false, 2), (false, 4), (true, 1), (true, 2), (true, 4)]);
    let mut equal = Made { seconds: [[0.0, 2.0], [0.0, 2.05]], ..processor() };
    assert_eq!(chosen(&demand(Some(256)), &mut equal), (256, 22, true), "3 % are no difference: more at once");
    let mut apart = Made { seconds: [[0.0, 2.0], [0.0, 2.07]], ..processor() };
    assert_eq!(chosen(&demand(Some(256)), &mut apart), (256, 7, false));
}

#[test]
fn recomputing_is_never_taken_for_faster_than_it_can_be() {
    let mut busy = Made { bytes: [[100, 600], [100, 550]], seconds: [[0.0, 3.4], [0.0, 0.8]], ..processor() };
    let choice = choose(&demand(Some(256)), &mut busy).unwrap();
    assert_eq!(choice.levels.iter().map(|level| level.seconds[1]).collect::<Vec<_>>(), [3.4, 3.4]);
    assert_eq!(
        (choice.micro_batch, choice.levels[choice.chosen].checkpointing),
        (8, true),
        "the larger micro-batch of equals"
    );
}

#[test]
fn what_fits_only_with_recomputation_gets_it() {
    let mut large = Made { bytes: [[100, 5000], [100, 2000]], ..processor() };
    assert_eq!(chosen(&demand(Some(64)), &mut large), (64, 2, true));
    let off = Demand { levels: vec![false], ..demand(Some(64)) };
    let mut large = Made { bytes: [[100, 5000], [100, 2000]], ..processor() };
    let message = choose(&off, &mut large).unwrap_err().to_string();
    let wanted = "not even one image at a time fits: of 6.0 GiB the program itself takes 1.0 GiB and batches of 64 that wait \
        to be trained 0.0 MiB, which leaves 5.0 GiB for tensors, and they need 5.3 GiB; give a larger memory_budget, or \
        gradient_checkpointing=auto, or a smaller imgsz, or a smaller model";
    assert_eq!(message, wanted);
}

#[test]
fn a_probe_that_does_not_fit_bounds_the_plan() {
    let mut tight = Made { room: 1300, seconds: [[0.0, 0.1]; 2], ..processor() };
    let off = Demand { levels: vec![false], ..demand(Some(64)) };
    assert_eq!(chosen(&off, &mut tight), (64, 3, false), "not the 7 that would fit by the line: four did not");
    tight.room = 1299;
    assert_eq!(chosen(&off, &mut tight), (64, 1, false));
    let mut none = Made { room: 299, ..processor() };
    let message = choose(&Demand { waiting: 20 * MIB, ..demand(Some(64)) }, &mut none).unwrap_err().to_string();
    let wanted = "not even one image at a time fits: of 6.0 GiB the program itself takes 1.0 GiB and batches of 64 that wait \
        to be trained 1.2 GiB, which leaves 3.8 GiB for tensors, and they need more; give a larger memory_budget, or a \
        smaller batch, or a smaller imgsz, or a smaller model";
    assert_eq!((message, none.asked.len()), (wanted.to_owned(), 2));
}

#[test]
fn a_curve_is_planned_for_by_its_steepest_part() {
    struct Curve;
    impl Measure for Curve {
        fn step(&mut self, _: bool, images: usize) -> Result<Option<Cost>> {
            let bytes = [0, 500, 600, 0, 1400][images] * MIB;
            Ok(Some(Cost { bytes, seconds: 0.1 * images as f64 }))
        }
    }
    let choice = choose(&Demand { levels: vec![false], ..demand(Some(256)) }, &mut Curve).unwrap();
    let level = &choice.levels[0];
    // 400 MiB an image from two to four; the line above all three points begins at 100.
    assert_eq!((level.fixed, level.per_image), ((100 + 120) * MIB, 420 * MIB));
    assert_eq!((level.most, choice.micro_batch), (11, 11));
}

#[test]
fn as_many_as_fit_are_a_round_number() {
    assert_eq!(
        [1, 2, 3, 4, 5, 6, 7, 11, 12, 23, 24, 31, 47, 1024].map(round_down),
        [1, 2, 3, 4, 4, 6, 6, 8, 12, 16, 24, 24, 32, 1024]
    );
    assert_eq!(chosen(&demand(None), &mut processor()), (6, 6, false));
    assert_eq!(chosen(&Demand { levels: vec![true], ..demand(None) }, &mut processor()), (16, 16, true));
    let waiting = Demand { waiting: 100 * MIB, levels: vec![true], ..demand(None) };
    assert_eq!(chosen(&waiting, &mut processor()), (12, 12, true), "4900 / (210 + 100) = 15.8");
    let few = Demand { images: 5, ..demand(None) };
    assert_eq!(chosen(&few, &mut processor()), (4, 4, false), "no more than there are");
    let mut tiny = Made { bytes: [[1, 1], [1, 1]], seconds: [[0.01, 0.0]; 2], ..processor() };
    assert_eq!(chosen(&demand(None), &mut tiny), (1024, 1024, false), "and no more than 1024");
}

#[test]
fn a_batch_larger_than_the_data_is_planned_for_what_there_is() {
    let few = Demand { images: 10, ..demand(Some(256)) };
    assert_eq!(chosen(&few, &mut processor()), (256, 5, false), "two parts of five");
    assert_eq!(choose(&Demand { waiting: 10 * MIB, ..few }, &mut processor()).unwrap().limit, (5120 - 100) * MIB);
}
