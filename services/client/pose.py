"""What a drawn student does in a frame (`Pose`) and what makes one student another (`Look`)."""

from dataclasses import dataclass

Colour = tuple[int, int, int]  # blue, green, red

_SKINS: tuple[Colour, ...] = ((165, 190, 232), (150, 180, 225), (120, 155, 205), (100, 135, 185), (85, 115, 165))
_HAIRS: tuple[Colour, ...] = ((30, 32, 38), (35, 50, 75), (50, 85, 130), (45, 60, 110), (95, 150, 190))
_SHIRTS: tuple[Colour, ...] = (
    (140, 90, 50),
    (70, 110, 60),
    (80, 70, 150),
    (90, 90, 95),
    (150, 130, 60),
    (60, 130, 190),
)
_ROOMS: tuple[Colour, ...] = ((178, 172, 160), (160, 175, 178), (184, 166, 165), (150, 168, 158))
_IRISES: tuple[Colour, ...] = ((50, 70, 95), (110, 85, 55), (65, 95, 75), (35, 50, 70))


@dataclass(frozen=True, slots=True)
class Pose:
    """What the student does in one frame.

    `eyes` and `mouth`: 0 shut, 1 wide open. `smile`: −1 the mouth's corners down, 1 up and apart. `brows`: −1 down and
    together, 1 up. `look_x` (image right) and `look_y` (up) turn the eyes, −1..1.
    `yaw_deg` > 0 turns the face to image right, `pitch_deg` > 0 looks down, `roll_deg` > 0 tilts counter-clockwise.
    `x` and `y` move the head by shares of the frame's width and height; `scale` 1 is a face of 0.6 frame heights.
    `hand_raised`: 0 with the arm out of the picture, 1 with the hand beside the face, at image left (`hand_side` −1) or
    right (1).
    """

    present: bool = True
    eyes: float = 1.0
    mouth: float = 0.0
    smile: float = 0.0
    brows: float = 0.0
    look_x: float = 0.0
    look_y: float = 0.0
    yaw_deg: float = 0.0
    pitch_deg: float = 0.0
    roll_deg: float = 0.0
    x: float = 0.0
    y: float = 0.0
    scale: float = 1.0
    hand_raised: float = 0.0
    hand_side: int = 1


@dataclass(frozen=True, slots=True)
class Look:
    """Colours (blue, green, red) and hair."""

    skin: Colour = _SKINS[1]
    hair: Colour = _HAIRS[1]
    shirt: Colour = _SHIRTS[0]
    room: Colour = _ROOMS[0]
    iris: Colour = _IRISES[0]
    long_hair: bool = False

    @classmethod
    def of(cls, seed: int) -> "Look":
        """The look of student number `seed`; neighbours differ in every colour."""
        return cls(
            skin=_SKINS[(seed * 2 + 1) % len(_SKINS)],
            hair=_HAIRS[(seed * 3 + 1) % len(_HAIRS)],
            shirt=_SHIRTS[seed % len(_SHIRTS)],
            room=_ROOMS[seed % len(_ROOMS)],
            iris=_IRISES[seed % len(_IRISES)],
            long_hair=seed % 2 == 1,
        )


def shade(colour: Colour, factor: float) -> Colour:
    """Darker below 1, lighter above."""
    blue, green, red = (min(255, round(part * factor)) for part in colour)
    return blue, green, red
